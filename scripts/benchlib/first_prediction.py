"""Measure the time from the line in the cell to the first prediction in the kernel."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchlib.contenders import ColabenvUp
from benchlib.figures import order_round
from benchlib.kernels import run_first_cell
from benchlib.loopback import BUCKET, LoopbackServer
from benchlib.reserve_memory import prepare_machine
from benchlib.sandbox import REPOSITORY, read_child_cpu_seconds, set_aside
from benchlib.store_benchmark import StoreSetup
from benchlib.store_report import CASES
from colabenv.kernel import warm

#: Bytes per second of index and store, about the network of a Colab machine.
RATE = 100_000_000
_PRELOAD = "kernel: {preload: [tensorflow]}\n"
#: Seconds that an import in the background may take.
_IMPORT_LIMIT = 120


def make_cases(setup: StoreSetup, server: LoopbackServer, lock: tuple[str, str]) -> dict[str, ColabenvUp]:
    """An `up` for each case, with its own home; "noop" uses the environment of "warm"."""
    profile = (REPOSITORY / "profiles" / "quickstart.yaml").read_text(encoding="utf-8")
    from_store = ("--store", f"s3://{BUCKET}")

    def make_case(name: str, text: str, *options: str) -> ColabenvUp:
        case = ColabenvUp(
            setup.sandbox,
            setup.sandbox.root / f"felt-{name}",
            text,
            "quickstart",
            lock,
            CASES[name],
            "cpu",
            options,
        )
        case.environ.update({**server.index, **server.store})
        return case

    cached = make_case("warm", profile)
    return {
        "cold": make_case("cold", profile),
        "store": make_case("store", profile, *from_store),
        "warm": cached,
        "noop": cached,
        "preload": make_case("preload", profile + _PRELOAD, *from_store),
    }


def prepare_cases(server: LoopbackServer, cases: Mapping[str, ColabenvUp]) -> None:
    """Before the first round, fill the cache of "warm" and build the environment of "preload"."""
    server.limit.rate = 0
    for name in ("warm", "preload"):
        cases[name].forget(downloads=True)
        cases[name].run_up()


def end_preload(cases: Mapping[str, ColabenvUp]) -> None:
    """End the warm process of "preload"."""
    warm.end_warm_process(_find_prefix(cases["preload"]))


def measure_round(
    server: LoopbackServer, cases: Mapping[str, ColabenvUp], number: int, print_line: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Measure each case once; returns a record each. "noop" follows "warm", whose environment it uses."""
    server.limit.rate = RATE
    records = []
    for name in order_round([case for case in cases if case != "noop"], number):
        for case in [name, "noop"] if name == "warm" else [name]:
            records.append({"round": number, "case": case, **_measure_case(cases[case], case)})
            steps = ", ".join(f"{step} {value:.1f}" for step, value in records[-1]["steps"].items())
            print_line(f"round {number + 1} felt {case}: {steps}")
        if name != "preload":
            set_aside(cases[name].home / "envs")
    return records


def _find_prefix(up: ColabenvUp) -> Path:
    """The folder of an environment that is already built."""
    return Path(up.run_up()[1]["environment"])


def _wait_for_preload(up: ColabenvUp) -> None:
    """Wait until a warm process is ready; raises `SystemExit` if none is after a while."""
    prefix, deadline = _find_prefix(up), time.monotonic() + _IMPORT_LIMIT
    while not ((process := warm.find_warm_process(prefix)) and process.ready):
        if time.monotonic() > deadline:
            raise SystemExit(f"No warm process was ready for {prefix} in {_IMPORT_LIMIT} s.")
        time.sleep(0.2)


def _measure_case(up: ColabenvUp, case: str) -> dict[str, Any]:
    """Measure a case once; raises `SystemExit` if `up` did something else than the case requires."""
    is_built = case in ("noop", "preload")
    if not is_built:
        up.forget(downloads=case != "warm")
    elif case == "preload":
        _wait_for_preload(up)
    prepare_machine()
    load, before = os.getloadavg()[0], read_child_cpu_seconds()
    seconds, result = up.run_up()
    cpu = read_child_cpu_seconds() - before
    opened = run_first_cell(up.jupyter / "kernels", "colabenv-quickstart", up.environ)
    if result["action"] != ("unchanged" if is_built else "built"):
        raise SystemExit(f"up reports {result['action']!r} in the case {case!r}.")
    restored = len(result.get("store", {}).get("restored", ()))
    if case == "store" and restored != result["packages"]:
        raise SystemExit(
            f"Only {restored} of {result['packages']} packages came from the store: {result['notes']}"
        )
    return {"load": load, "cpu": cpu, "steps": {"up": seconds, **opened}, "inside": result["seconds"]}
