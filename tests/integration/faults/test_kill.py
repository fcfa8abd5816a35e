"""SIGKILL at each stage of `up`: nothing half-made is registered, and the next `up` finishes the job."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.bench import TINY, Bench, RunningCommand
from support.index_server import Index

#: The profile's check writes its process id when it runs, and waits as long as the test wants.
PAUSING = (
    TINY.replace("verify: {imports: [tiny]}", "")
    + """\
verify:
  imports: [tiny]
  code: |
    import os, pathlib, time
    pathlib.Path("checking").write_text(str(os.getpid()))
    deadline = time.monotonic() + 600
    while pathlib.Path("stay").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
"""
)

Moment = Callable[[Bench, Index, RunningCommand], object]


def resolving(bench: Bench, index: Index, up: RunningCommand) -> None:
    hold = index.hold("^/simple/tiny/")
    up.until(hold.reached.is_set, "the index is asked")
    assert bench.environments() == []


def creating(bench: Bench, index: Index, up: RunningCommand) -> None:
    # The first thing `uv venv` makes; the wheel is held, so that the packages cannot come meanwhile.
    index.hold(r"\.whl$")
    up.until(bench.environments, "the folder of the environment appears")


def amid_a_wheel(bench: Bench, index: Index, up: RunningCommand) -> None:
    hold = index.hold(r"/tiny-1\.0.*\.whl$", after=100)
    up.until(hold.reached.is_set, "a part of the wheel is sent")


def linking(bench: Bench, index: Index, up: RunningCommand) -> None:
    def some_are_there() -> bool:
        return any(
            any(prefix.glob("lib/python3*/site-packages/*.dist-info")) for prefix in bench.environments()
        )

    up.until(some_are_there, "the first package lies in the environment")


def after_stamp(bench: Bench, index: Index, up: RunningCommand) -> None:
    up.until(lambda: any(bench.store.glob("envs/tiny/*/stamp.json")), "the stamp is written")


def during_check(bench: Bench, index: Index, up: RunningCommand) -> None:
    up.until((bench.project / "checking").exists, "the check runs")
    assert bench.kernels() == []


def after_check(bench: Bench, index: Index, up: RunningCommand) -> None:
    # the kernel of the check has ended; only the registration is left.
    during_check(bench, index, up)
    kernel = Path("/proc") / up.until((bench.project / "checking").read_text, "the kernel says who it is")
    (bench.project / "stay").unlink()
    up.until(lambda: not kernel.exists() or " Z " in _state(kernel), "the kernel of the check ends")


def after_registration(bench: Bench, index: Index, up: RunningCommand) -> None:
    # The receipt comes next.
    (bench.project / "stay").unlink()
    up.until(bench.kernels, "the kernel is registered")


def _state(process: Path) -> str:
    try:
        return (process / "stat").read_text()
    except OSError:
        return " Z "


MOMENTS: tuple[Moment, ...] = (
    resolving,
    creating,
    amid_a_wheel,
    linking,
    after_stamp,
    during_check,
    after_check,
    after_registration,
)


def kill(bench: Bench, up: RunningCommand) -> None:
    """Kill `up` alone; whatever it started has to end by itself, and write no more."""
    up.send(signal.SIGKILL)
    up.done()
    bench.expect_quiet()
    prefix = bench.registered()
    assert prefix is None or (prefix / "bin" / "python").exists()


def finish(bench: Bench) -> None:
    """Run the next `up` and see that it did the whole job."""
    (bench.project / "stay").unlink(missing_ok=True)
    bench.up().expect(0)
    bench.works()
    assert len(bench.environments()) == 1
    assert list(bench.temporary.glob("uv-*")) == []


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
def test_killed_at_each_stage(bench: Bench, index: Index, moment: Moment) -> None:
    bench.profile.write_text(PAUSING)
    (bench.project / "stay").touch()
    index.faults.clear()
    up = bench.start_up()
    moment(bench, index, up)
    kill(bench, up)
    index.clear_faults()
    finish(bench)


def test_killed_at_random_moments(bench: Bench) -> None:
    chance = random.Random(2023)  # noqa: S311 - the same times in each run
    for _ in range(5):
        up = bench.start_up()
        deadline = time.monotonic() + chance.uniform(0.05, 3.5)
        while time.monotonic() < deadline and up.process.poll() is None:
            time.sleep(0.01)
        kill(bench, up)
    finish(bench)
