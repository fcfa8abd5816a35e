"""The benchmark's program: see scripts/bench and docs/bench.md."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from benchlib import felt, growth, noop, report, store_report, storing
from benchlib.contenders import Contender, PipByHand, Up, UvByHand
from benchlib.figures import turns
from benchlib.place import REPOSITORY, Place, machine
from colabenv.profile.load import load
from colabenv.profile.model import parse_specifier

NAMES = ("up", "up-locked", "uv", "uv-same", "pip", "noop", "store", "felt", "growth")
#: What `--quick` leaves out, and what needs no rehearsal.
_LONG, _APART = ("pip", "growth"), ("store", "felt", "growth")
_LEAST_FREE = 15_000_000_000


def main() -> int:
    options = arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    cache = REPOSITORY / ".cache"
    cache.mkdir(exist_ok=True)
    if shutil.disk_usage(cache).free < _LEAST_FREE:
        raise SystemExit(f"{cache} has less than 15 GB free; the environments and caches need up to that.")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=cache) as folder:
        _, faults = measure(options, Place.at(Path(folder)))
    if options.json:
        print(f"\nEvery figure: {options.json}")
    return 1 if faults else 0


def keep(options: argparse.Namespace, found: dict[str, Any]) -> None:
    """Write what is there so far; an hour's figures should not go with one that fails."""
    if options.json:
        options.json.write_text(dumped(found), encoding="utf-8")


def dumped(found: dict[str, Any]) -> str:
    """Figures as JSON, a record in a line and nothing finer than a millisecond."""
    parts = []
    for key, value in json.loads(json.dumps(found), parse_float=lambda text: round(float(text), 3)).items():
        if isinstance(value, dict) and "records" in value:
            records = ",\n  ".join(json.dumps(one) for one in value.pop("records"))
            parts.append(f'"{key}": {json.dumps(value)[:-1]}, "records": [\n  {records}\n ]}}')
        else:
            parts.append(f'"{key}": {json.dumps(value)}')
    return "{\n " + ",\n ".join(parts) + "\n}\n"


def stop(number: int, frame: FrameType | None) -> None:
    """End so that the folder is removed on the way out."""
    del frame
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # a second one must not leave half of it there
    sys.exit(128 + number)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument(
        "--quick", action="store_true", help="one round, without pip and growth, fewer starts"
    )
    parser.add_argument("--variant", choices=("cpu", "gpu"), default="cpu", help="of what store measures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    options = parser.parse_args()
    if options.quick:
        options.rounds = 1
    options.names = options.only or [name for name in NAMES if name not in _LONG or not options.quick]
    options.starts = 10 if options.quick else 50
    return options


def measure(options: argparse.Namespace, place: Place) -> tuple[dict[str, Any], list[str]]:
    """Measure what was asked for and print it; all figures, and what is not as it must be."""
    found: dict[str, Any] = {"machine": machine()}
    faults: list[str] = []
    print("  ".join(f"{name} {value}" for name, value in found["machine"].items()))
    if set(options.names) - set(_APART):
        faults = by_hand(options, place, found)
        keep(options, found)
    if {"store", "felt"} & set(options.names):
        stores(options, place, found)
    if "growth" in options.names:
        found["growth"] = growth.measure(Place.at(place.folder("growth")), say)
        keep(options, found)
        print("\n" + store_report.growth(found["growth"]))
    return found, faults


def stores(options: argparse.Namespace, place: Place, found: dict[str, Any]) -> None:
    """Measure the store, round by round; adds "store" and "felt"."""
    stock, server, lock = storing.stocked(place, options.variant, say)
    ways = storing.ways(stock, server, storing.RATES) if "store" in options.names else {}
    with server:
        who = felt.cases(stock, server, lock) if "felt" in options.names and options.variant == "cpu" else {}
        found["store"] = {
            "packages": stock.push["packages"],
            "sizes": stock.sizes,
            "push": stock.push["seconds"],
        }
        found["store"]["records"] = turns_of_ways = []
        found["felt"] = {"rate": felt.RATE, "records": (turns_of_people := [])}
        if who:
            felt.begin(server, who)
        for number in range(options.rounds):
            turns_of_ways += storing.measured(stock, server, ways, number, say)
            turns_of_people += felt.measured(server, who, number, say)
            keep(options, found)
        if who:
            felt.end(who)
    if ways:
        told(turns_of_ways, {name: way.title for name, way in ways.items()}, found)
    if who:
        print("\n" + store_report.felt(turns_of_people, store_report.CASES, felt.RATE))


def told(records: list[dict[str, Any]], titles: dict[str, str], found: dict[str, Any]) -> None:
    """Print what was measured of the store."""
    sizes = found["store"]["sizes"]
    print("\n" + store_report.summary(records, titles))
    print("\n" + store_report.judged(records, sizes, found["machine"]["cores"]))
    print("\n" + store_report.held(sizes))
    print(f"Pushed in {sum(found['store']['push'].values()):.1f} s")
    loads = [record["load"] for record in records]
    print(f"Load of the machine before each turn: {min(loads):.1f} to {max(loads):.1f}")


def by_hand(options: argparse.Namespace, place: Place, found: dict[str, Any]) -> list[str]:
    """Rehearse, then measure `up` against others; adds "records" and "noop", and returns what is not as it must be."""
    found["records"] = []
    path = REPOSITORY / "profiles" / "quickstart.yaml"
    # Rehearsed once: it makes the lock, chooses the Python, writes colabenv's bytecode, and warms whatever proxy
    # stands before the index, which would else slow down whoever comes first.
    rehearsal = Up(
        place,
        place.folder("rehearsal"),
        path.read_text(encoding="utf-8"),
        load(str(path)).profile.name,
        None,
        "rehearsal",
    )
    rehearsal.forget(downloads=True)
    say("rehearsal")
    seconds, result = rehearsal.up()
    say(f"rehearsal {seconds:.1f} s, not counted: {result['packages']} packages, Python {result['python']}")
    contenders = field_of(options.names, rehearsal, result)
    for number in range(options.rounds):
        for mode in report.MODES:
            for name in turns(list(contenders), number):
                found["records"].append(one(contenders[name], name, mode, number))
    titles = {name: contender.title for name, contender in contenders.items()}
    if contenders:
        for part in (report.summary, report.comparison, report.processor, report.steps):
            print("\n" + part(found["records"], titles))
    faults: list[str] = []
    if "noop" in options.names:
        watched = noop.measure(
            rehearsal.folder / "project" / "profile.yaml", rehearsal.environ, options.starts
        )
        found["noop"], faults = asdict(watched), watched.faults
        print("\n" + report.noop(found["noop"], faults))
    loads = [record["load"] for record in found["records"]] or [os.getloadavg()[0]]
    print(f"\nLoad of the machine before each run: {min(loads):.1f} to {max(loads):.1f}")
    return faults


def field_of(names: list[str], rehearsal: Up, result: dict[str, Any]) -> dict[str, Contender]:
    """Those who take part, by name."""
    place, python = rehearsal.place, result["interpreter"]
    profile = load(str(rehearsal.folder / "project" / "profile.yaml")).profile
    wanted = [f"tensorflow{parse_specifier(profile.stack.tensorflow or '')}", "ipykernel"]
    lock = Path(result["lock"])
    text = lock.read_text(encoding="utf-8")
    same = [line.split()[0] for line in text.splitlines() if "==" in line and not line.startswith("#")]
    if len(same) != result["packages"]:
        raise SystemExit(f"The lock lists {len(same)} packages, up installed {result['packages']}.")

    def ours(name: str, beside: tuple[str, str] | None, title: str) -> Up:
        return Up(place, place.root / name, rehearsal.profile, rehearsal.name, beside, title)

    everybody: dict[str, Contender] = {
        "up": ours("up", None, "colabenv up, no lock"),
        "up-locked": ours("up-locked", (lock.name, text), "colabenv up, lock beside the profile"),
        "uv": UvByHand(place, place.root / "uv", python, wanted, f"uv by hand, {' '.join(wanted)}"),
        "uv-same": UvByHand(
            place, place.root / "uv-same", python, same, f"uv by hand, the lock's {len(same)} packages"
        ),
        "pip": PipByHand(place, place.root / "pip", python, wanted, f"virtualenv + pip, {' '.join(wanted)}"),
    }
    return {name: contender for name, contender in everybody.items() if name in names}


def one(contender: Contender, name: str, mode: str, number: int) -> dict[str, Any]:
    """Measure one contender once."""
    contender.forget(downloads=mode == "cold")
    os.sync()  # what the one before left to be written to disk is not this one's burden
    load_before = os.getloadavg()[0]
    run = contender.run()
    say(
        f"round {number + 1} {mode} {name}: "
        + ", ".join(f"{step} {value:.1f}" for step, value in run.steps.items())
    )
    return {"contender": name, "mode": mode, "round": number, "load": load_before, **asdict(run)}


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
