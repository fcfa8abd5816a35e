"""SIGKILL at each stage of `up`: no partial environment is registered, and the next `up` succeeds."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.bench import TINY, Bench, RunningCommand
from support.index_server import Index

#: The check of this profile writes its process ID to `checking` and waits until the file `stay` is removed.
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

Stage = Callable[[Bench, Index, RunningCommand], object]


def while_resolving(bench: Bench, index: Index, up: RunningCommand) -> None:
    hold = index.hold("^/simple/tiny/")
    up.until(hold.reached.is_set, "a request to the index")
    assert bench.environments() == []


def while_creating(bench: Bench, index: Index, up: RunningCommand) -> None:
    # `uv venv` creates the folder; the wheels are paused so that no package is installed.
    index.hold(r"\.whl$")
    up.until(bench.environments, "the folder of the environment")


def while_downloading(bench: Bench, index: Index, up: RunningCommand) -> None:
    hold = index.hold(r"/tiny-1\.0.*\.whl$", after=100)
    up.until(hold.reached.is_set, "a part of the wheel")


def while_linking(bench: Bench, index: Index, up: RunningCommand) -> None:
    def has_packages() -> bool:
        return any(
            any(prefix.glob("lib/python3*/site-packages/*.dist-info")) for prefix in bench.environments()
        )

    up.until(has_packages, "the first package in the environment")


def after_stamp(bench: Bench, index: Index, up: RunningCommand) -> None:
    up.until(lambda: any(bench.store.glob("envs/tiny/*/stamp.json")), "the stamp")


def during_check(bench: Bench, index: Index, up: RunningCommand) -> None:
    up.until((bench.project / "checking").exists, "the start of the check")
    assert bench.kernels() == []


def after_check(bench: Bench, index: Index, up: RunningCommand) -> None:
    # The check's kernel has ended; only the registration is left.
    during_check(bench, index, up)
    kernel = Path("/proc") / up.until((bench.project / "checking").read_text, "the process ID of the kernel")
    (bench.project / "stay").unlink()
    up.until(lambda: not kernel.exists() or " Z " in _state(kernel), "the end of the check's kernel")


def after_registration(bench: Bench, index: Index, up: RunningCommand) -> None:
    # The next step writes the cache of `up`.
    (bench.project / "stay").unlink()
    up.until(bench.kernels, "the registration of the kernel")


def _state(process: Path) -> str:
    try:
        return (process / "stat").read_text()
    except OSError:
        return " Z "


STAGES: tuple[Stage, ...] = (
    while_resolving,
    while_creating,
    while_downloading,
    while_linking,
    after_stamp,
    during_check,
    after_check,
    after_registration,
)


def kill(bench: Bench, up: RunningCommand) -> None:
    """Kill `up` alone, and assert that the processes that it started end."""
    up.send(signal.SIGKILL)
    up.done()
    bench.expect_quiet()
    prefix = bench.registered()
    assert prefix is None or (prefix / "bin" / "python").exists()


def finish(bench: Bench) -> None:
    """Run the next `up` and assert that it succeeds."""
    (bench.project / "stay").unlink(missing_ok=True)
    bench.up().expect(0)
    bench.works()
    assert len(bench.environments()) == 1
    assert list(bench.temporary.glob("uv-*")) == []


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_killed_at_each_stage(bench: Bench, index: Index, stage: Stage) -> None:
    bench.profile.write_text(PAUSING)
    (bench.project / "stay").touch()
    index.faults.clear()
    up = bench.start_up()
    stage(bench, index, up)
    kill(bench, up)
    index.clear_faults()
    finish(bench)


def test_killed_at_random_moments(bench: Bench) -> None:
    random_times = random.Random(2023)  # noqa: S311 - the same times in each run
    for _ in range(5):
        up = bench.start_up()
        deadline = time.monotonic() + random_times.uniform(0.05, 3.5)
        while time.monotonic() < deadline and up.process.poll() is None:
            time.sleep(0.01)
        kill(bench, up)
    finish(bench)
