"""The time that people feel: from the line in the cell to the first prediction in the kernel."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchlib.contenders import Up
from benchlib.cushion import prepare
from benchlib.figures import turns
from benchlib.kernels import first_prediction
from benchlib.loopback import BUCKET, Loopback
from benchlib.place import REPOSITORY, children_cpu, remove
from benchlib.store_report import CASES
from benchlib.storing import Stocked
from colabenv.kernel import warm

#: Bytes a second of index and store, about what a Colab machine gets.
RATE = 100_000_000
_PRELOAD = "kernel: {preload: [tensorflow]}\n"
#: Seconds that an import may take in the background.
_IMPORT_LIMIT = 120


def cases(stock: Stocked, server: Loopback, lock: tuple[str, str]) -> dict[str, Up]:
    """An `up` for each case, with a home of its own; "warm" and "noop" share one, since one follows the other."""
    profile = (REPOSITORY / "profiles" / "quickstart.yaml").read_text(encoding="utf-8")
    options = ("--store", f"s3://{BUCKET}")

    def one(name: str, text: str, *more: str) -> Up:
        made = Up(
            stock.place,
            stock.place.root / f"felt-{name}",
            text,
            "quickstart",
            lock,
            CASES[name],
            "cpu",
            more,
        )
        made.environ.update({**server.index, **server.store})
        return made

    cached = one("warm", profile)
    return {
        "cold": one("cold", profile),
        "store": one("store", profile, *options),
        "warm": cached,
        "noop": cached,
        "preload": one("preload", profile + _PRELOAD, *options),
    }


def begin(server: Loopback, who: Mapping[str, Up]) -> None:
    """Make what has to be there before the first round: a cache, and an environment."""
    server.throttle.rate = 0
    for case in ("warm", "preload"):
        who[case].forget(downloads=True)
        who[case].up()


def end(who: Mapping[str, Up]) -> None:
    """Send the warm process away."""
    warm.end_warm_process(_prefix(who["preload"]))


def measured(
    server: Loopback, who: Mapping[str, Up], number: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Everybody's turn in one round; a record each. "noop" follows "warm", whose environment it finds."""
    server.throttle.rate = RATE
    records = []
    for name in turns([case for case in who if case != "noop"], number):
        for case in [name, "noop"] if name == "warm" else [name]:
            records.append({"round": number, "case": case, **_turn(who[case], case)})
            steps = ", ".join(f"{step} {value:.1f}" for step, value in records[-1]["steps"].items())
            say(f"round {number + 1} felt {case}: {steps}")
        if name != "preload":
            remove(who[name].home / "envs")
    return records


def _prefix(up: Up) -> Path:
    """The folder of its environment, which is there already."""
    return Path(up.up()[1]["environment"])


def _preloaded(up: Up) -> None:
    """See that a warm process waits.

    Raises:
        SystemExit: it does not come.
    """
    prefix, ended = _prefix(up), time.monotonic() + _IMPORT_LIMIT
    while not ((found := warm.find_warm_process(prefix)) and found.ready):
        if time.monotonic() > ended:
            raise SystemExit(f"No warm kernel came for {prefix}.")
        time.sleep(0.2)


def _turn(up: Up, case: str) -> dict[str, Any]:
    """One person's wait.

    Raises:
        SystemExit: `up` did something else than it was to do.
    """
    there = case in ("noop", "preload")
    if not there:
        up.forget(downloads=case != "warm")
    elif case == "preload":
        _preloaded(up)
    prepare()
    load, before = os.getloadavg()[0], children_cpu()
    seconds, result = up.up()
    cpu = children_cpu() - before
    opened = first_prediction(up.jupyter / "kernels", "colabenv-quickstart", up.environ)
    if result["action"] != ("unchanged" if there else "built"):
        raise SystemExit(f"up says {result['action']!r} in the case {case!r}.")
    restored = len(result.get("store", {}).get("restored", ()))
    if case == "store" and restored != result["packages"]:
        raise SystemExit(
            f"Only {restored} of {result['packages']} packages came from the store: {result['notes']}"
        )
    return {"load": load, "cpu": cpu, "steps": {"up": seconds, **opened}, "inside": result["seconds"]}
