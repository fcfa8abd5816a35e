"""SIGKILL at each stage of `up`: no partial environment is registered, and the next `up` succeeds."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.index_server import Index
from support.user_machine import TINY, RunningCommand, UserMachine

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

Stage = Callable[[UserMachine, Index, RunningCommand], object]


def while_resolving(machine: UserMachine, index: Index, up: RunningCommand) -> None:
    pause = index.pause("^/simple/tiny/")
    up.wait_until(pause.reached.is_set, "a request to the index")
    assert machine.environments() == []


def while_creating(machine: UserMachine, index: Index, up: RunningCommand) -> None:
    # `uv venv` creates the folder; the wheels are paused so that no package is installed.
    index.pause(r"\.whl$")
    up.wait_until(machine.environments, "the folder of the environment")


def while_downloading(machine: UserMachine, index: Index, up: RunningCommand) -> None:
    pause = index.pause(r"/tiny-1\.0.*\.whl$", after=100)
    up.wait_until(pause.reached.is_set, "a part of the wheel")


def while_linking(machine: UserMachine, index: Index, up: RunningCommand) -> None:
    def has_packages() -> bool:
        return any(
            any(prefix.glob("lib/python3*/site-packages/*.dist-info")) for prefix in machine.environments()
        )

    up.wait_until(has_packages, "the first package in the environment")


def after_stamp(machine: UserMachine, index: Index, up: RunningCommand) -> None:
    up.wait_until(lambda: any(machine.colabenv_home.glob("envs/tiny/*/stamp.json")), "the stamp")


def during_check(machine: UserMachine, index: Index, up: RunningCommand) -> None:
    up.wait_until((machine.project / "checking").exists, "the start of the check")
    assert machine.kernels() == []


def after_check(machine: UserMachine, index: Index, up: RunningCommand) -> None:
    # The check's kernel has ended; only the registration is left.
    during_check(machine, index, up)
    kernel = Path("/proc") / up.wait_until(
        (machine.project / "checking").read_text, "the process ID of the kernel"
    )
    (machine.project / "stay").unlink()
    up.wait_until(lambda: not kernel.exists() or " Z " in _state(kernel), "the end of the check's kernel")


def after_registration(machine: UserMachine, index: Index, up: RunningCommand) -> None:
    # The next step writes the cache of `up`.
    (machine.project / "stay").unlink()
    up.wait_until(machine.kernels, "the registration of the kernel")


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


def kill(machine: UserMachine, up: RunningCommand) -> None:
    """Kill `up` alone, and assert that the processes that it started end."""
    up.send(signal.SIGKILL)
    up.wait()
    machine.assert_no_processes()
    prefix = machine.registered_environment()
    assert prefix is None or (prefix / "bin" / "python").exists()


def finish(machine: UserMachine) -> None:
    """Run the next `up` and assert that it succeeds."""
    (machine.project / "stay").unlink(missing_ok=True)
    machine.up().expect(0)
    machine.assert_kernel_works()
    assert len(machine.environments()) == 1
    assert list(machine.temporary.glob("uv-*")) == []


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_killed_at_each_stage(machine: UserMachine, index: Index, stage: Stage) -> None:
    machine.profile.write_text(PAUSING)
    (machine.project / "stay").touch()
    index.faults.clear()
    up = machine.start_up()
    stage(machine, index, up)
    kill(machine, up)
    index.clear_faults()
    finish(machine)


def test_killed_at_random_moments(machine: UserMachine) -> None:
    random_times = random.Random(2023)  # noqa: S311 - the same times in each run
    for _ in range(5):
        up = machine.start_up()
        deadline = time.monotonic() + random_times.uniform(0.05, 3.5)
        while time.monotonic() < deadline and up.process.poll() is None:
            time.sleep(0.01)
        kill(machine, up)
    finish(machine)
