"""Measure colabenv against uv and pip. See scripts/bench and docs/bench.md."""

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

from benchlib import first_prediction, growth, noop, report, store_benchmark, store_report
from benchlib.contenders import ColabenvUp, Contender, PipByHand, UvByHand
from benchlib.figures import order_round
from benchlib.sandbox import REPOSITORY, Sandbox, describe_machine
from colabenv.profile.load import load
from colabenv.profile.validators import parse_specifier

NAMES = ("up", "up-locked", "uv", "uv-same", "pip", "noop", "store", "felt", "growth")
#: Left out with `--quick`.
_LONG = ("pip", "growth")
#: These need no rehearsal.
_WITHOUT_REHEARSAL = ("store", "felt", "growth")
#: Bytes of free disk space that the benchmark needs.
_MIN_FREE = 15_000_000_000


def main() -> int:
    options = parse_arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, exit_on_signal)
    cache = REPOSITORY / ".cache"
    cache.mkdir(exist_ok=True)
    if shutil.disk_usage(cache).free < _MIN_FREE:
        raise SystemExit(
            f"{cache} has less than 15 GB of free disk space, which environments and caches can need."
        )
    with tempfile.TemporaryDirectory(prefix="bench-", dir=cache) as folder:
        _, problems = measure_all(options, Sandbox.create(Path(folder)))
    if options.json:
        print(f"\nAll figures: {options.json}")
    return 1 if problems else 0


def save_results(options: argparse.Namespace, results: dict[str, Any]) -> None:
    """Write the results so far, so that a later failure does not lose them."""
    if options.json:
        options.json.write_text(render_json(results), encoding="utf-8")


def render_json(results: dict[str, Any]) -> str:
    """The results as JSON, with one record a line and seconds rounded to milliseconds."""
    parts = []
    for key, value in json.loads(json.dumps(results), parse_float=lambda text: round(float(text), 3)).items():
        if isinstance(value, dict) and "records" in value:
            records = ",\n  ".join(json.dumps(record) for record in value.pop("records"))
            parts.append(f'"{key}": {json.dumps(value)[:-1]}, "records": [\n  {records}\n ]}}')
        else:
            parts.append(f'"{key}": {json.dumps(value)}')
    return "{\n " + ",\n ".join(parts) + "\n}\n"


def exit_on_signal(number: int, frame: FrameType | None) -> None:
    """Exit with the temporary folder removed; further signals are ignored meanwhile."""
    del frame
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    sys.exit(128 + number)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often to measure each (default: 3)")
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, metavar="NAME", help=f"measure only these, of {', '.join(NAMES)}"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round, without pip and growth, fewer starts"
    )
    parser.add_argument(
        "--variant", choices=("cpu", "gpu"), default="cpu", help="the variant that store measures"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    options = parser.parse_args()
    if options.quick:
        options.rounds = 1
    options.names = options.only or [name for name in NAMES if name not in _LONG or not options.quick]
    options.starts = 10 if options.quick else 50
    return options


def measure_all(options: argparse.Namespace, sandbox: Sandbox) -> tuple[dict[str, Any], list[str]]:
    """Measure what the options select and print it; returns all figures, and the problems of the no-op `up`."""
    results: dict[str, Any] = {"machine": describe_machine()}
    problems: list[str] = []
    print("  ".join(f"{name} {value}" for name, value in results["machine"].items()))
    if set(options.names) - set(_WITHOUT_REHEARSAL):
        problems = measure_contenders(options, sandbox, results)
        save_results(options, results)
    if {"store", "felt"} & set(options.names):
        measure_store(options, sandbox, results)
    if "growth" in options.names:
        results["growth"] = growth.measure_growth(Sandbox.create(sandbox.make_folder("growth")), print_line)
        save_results(options, results)
        print("\n" + store_report.format_growth(results["growth"]))
    return results, problems


def measure_store(options: argparse.Namespace, sandbox: Sandbox, results: dict[str, Any]) -> None:
    """Measure the store, round by round; adds "store" and "felt"."""
    setup, server, lock = store_benchmark.prepare_store(sandbox, options.variant, print_line)
    methods: dict[str, store_benchmark.InstallMethod] = {}
    cases: dict[str, ColabenvUp] = {}
    if "store" in options.names:
        methods = store_benchmark.list_methods(setup, server, store_benchmark.RATES)
    with server:
        if "felt" in options.names and options.variant == "cpu":
            cases = first_prediction.make_cases(setup, server, lock)
        results["store"] = {
            "packages": setup.push["packages"],
            "sizes": setup.sizes,
            "push": setup.push["seconds"],
        }
        results["store"]["records"] = method_records = []
        results["felt"] = {"rate": first_prediction.RATE, "records": (case_records := [])}
        if cases:
            first_prediction.prepare_cases(server, cases)
        for number in range(options.rounds):
            method_records += store_benchmark.measure_round(setup, server, methods, number, print_line)
            case_records += first_prediction.measure_round(server, cases, number, print_line)
            save_results(options, results)
        if cases:
            first_prediction.end_preload(cases)
    if methods:
        print_store_report(method_records, {name: method.title for name, method in methods.items()}, results)
    if cases:
        print(
            "\n"
            + store_report.format_first_predictions(case_records, store_report.CASES, first_prediction.RATE)
        )


def print_store_report(
    records: list[dict[str, Any]], titles: dict[str, str], results: dict[str, Any]
) -> None:
    """Print the tables of the store."""
    sizes = results["store"]["sizes"]
    print("\n" + store_report.format_summary(records, titles))
    print("\n" + store_report.format_aims(records, sizes, results["machine"]["cores"]))
    print("\n" + store_report.format_sizes(sizes))
    print(f"Pushed in {sum(results['store']['push'].values()):.1f} s")
    loads = [record["load"] for record in records]
    print(f"Load of the machine before each measurement: {min(loads):.1f} to {max(loads):.1f}")


def measure_contenders(options: argparse.Namespace, sandbox: Sandbox, results: dict[str, Any]) -> list[str]:
    """Measure `up`, uv and pip; adds "records" and "noop", and returns the problems of the no-op `up`."""
    results["records"] = []
    path = REPOSITORY / "profiles" / "quickstart.yaml"
    # The rehearsal creates the lock, chooses the Python, compiles colabenv's bytecode, and warms a proxy in front of
    # the index, which would otherwise slow down the first contender.
    rehearsal = ColabenvUp(
        sandbox,
        sandbox.make_folder("rehearsal"),
        path.read_text(encoding="utf-8"),
        load(str(path)).profile.name,
        None,
        "rehearsal",
    )
    rehearsal.forget(downloads=True)
    print_line("rehearsal")
    seconds, result = rehearsal.run_up()
    print_line(
        f"rehearsal {seconds:.1f} s, not counted: {result['packages']} packages, Python {result['python']}"
    )
    contenders = make_contenders(options.names, rehearsal, result)
    for number in range(options.rounds):
        for mode in report.MODES:
            for name in order_round(list(contenders), number):
                results["records"].append(measure_run(contenders[name], name, mode, number))
    titles = {name: contender.title for name, contender in contenders.items()}
    if contenders:
        for format_part in (
            report.format_summary,
            report.format_comparison,
            report.format_processor_time,
            report.format_steps,
        ):
            print("\n" + format_part(results["records"], titles))
    problems: list[str] = []
    if "noop" in options.names:
        noop_result = noop.measure_noop(
            rehearsal.folder / "project" / "profile.yaml", rehearsal.environ, options.starts
        )
        results["noop"], problems = asdict(noop_result), noop_result.problems
        print("\n" + report.format_noop(results["noop"], problems))
    loads = [record["load"] for record in results["records"]] or [os.getloadavg()[0]]
    print(f"\nLoad of the machine before each run: {min(loads):.1f} to {max(loads):.1f}")
    return problems


def make_contenders(names: list[str], rehearsal: ColabenvUp, result: dict[str, Any]) -> dict[str, Contender]:
    """The contenders with these names."""
    sandbox, python = rehearsal.sandbox, result["interpreter"]
    profile = load(str(rehearsal.folder / "project" / "profile.yaml")).profile
    requirements = [f"tensorflow{parse_specifier(profile.stack.tensorflow or '')}", "ipykernel"]
    lock = Path(result["lock"])
    text = lock.read_text(encoding="utf-8")
    locked = [line.split()[0] for line in text.splitlines() if "==" in line and not line.startswith("#")]
    if len(locked) != result["packages"]:
        raise SystemExit(f"The lock lists {len(locked)} packages, up installed {result['packages']}.")

    def make_up(name: str, lock_file: tuple[str, str] | None, title: str) -> ColabenvUp:
        return ColabenvUp(sandbox, sandbox.root / name, rehearsal.profile, rehearsal.name, lock_file, title)

    contenders: dict[str, Contender] = {
        "up": make_up("up", None, "colabenv up, no lock"),
        "up-locked": make_up("up-locked", (lock.name, text), "colabenv up, lock beside the profile"),
        "uv": UvByHand(
            sandbox, sandbox.root / "uv", python, requirements, f"uv by hand, {' '.join(requirements)}"
        ),
        "uv-same": UvByHand(
            sandbox,
            sandbox.root / "uv-same",
            python,
            locked,
            f"uv by hand, the lock's {len(locked)} packages",
        ),
        "pip": PipByHand(
            sandbox, sandbox.root / "pip", python, requirements, f"virtualenv + pip, {' '.join(requirements)}"
        ),
    }
    return {name: contender for name, contender in contenders.items() if name in names}


def measure_run(contender: Contender, name: str, mode: str, number: int) -> dict[str, Any]:
    """Measure one contender once."""
    contender.forget(downloads=mode == "cold")
    os.sync()  # so that writes pending from the previous contender do not count
    load_before = os.getloadavg()[0]
    run = contender.run()
    print_line(
        f"round {number + 1} {mode} {name}: "
        + ", ".join(f"{step} {value:.1f}" for step, value in run.steps.items())
    )
    return {"contender": name, "mode": mode, "round": number, "load": load_before, **asdict(run)}


def print_line(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
