"""Ctrl-C: one message, exit status 130, no process left running, and the next `up` succeeds."""

from __future__ import annotations

import signal

import pytest

from support.index_server import Index
from support.user_machine import UserMachine


@pytest.mark.parametrize(
    ("number", "group"),
    [(signal.SIGINT, False), (signal.SIGINT, True), (signal.SIGTERM, False)],
    ids=["SIGINT", "SIGINT to the group", "SIGTERM"],
)
def test_interrupt_while_installing(
    machine: UserMachine, index: Index, number: signal.Signals, group: bool
) -> None:
    pause = index.pause(r"/tiny-1\.0.*\.whl$", after=100)
    up = machine.start_up()
    up.wait_until(pause.reached.is_set, "a part of the wheel")
    up.send(number, group=group)
    text = up.wait().expect(130).text
    assert text.count("Interrupted. No partial environment was left behind.") == 1
    machine.assert_no_processes()
    assert machine.kernels() == []
    assert machine.environments() == []
    assert list(machine.temporary.iterdir()) == []
    if group:  # as a terminal does; the next `up` does not depend on which processes got the signal
        index.clear_faults()
        machine.up().expect(0)
        machine.assert_kernel_works()


def test_interrupt_while_resolving(machine: UserMachine, index: Index) -> None:
    pause = index.pause("^/simple/tiny/")
    up = machine.start_up()
    up.wait_until(pause.reached.is_set, "a request to the index")
    up.send(signal.SIGINT)
    assert up.wait().expect(130).text.count("Interrupted") == 1
    machine.assert_no_processes()
    assert not machine.lock.exists()


def test_interrupt_during_the_check(machine: UserMachine) -> None:
    machine.profile.write_text(
        machine.profile.read_text().replace(
            "verify: {imports: [tiny]}",
            "verify: {code: \"import pathlib, time; pathlib.Path('checking').touch(); time.sleep(600)\"}",
        )
    )
    up = machine.start_up()
    up.wait_until((machine.project / "checking").exists, "the start of the check")
    up.send(signal.SIGINT, group=True)
    assert up.wait().expect(130).text.count("Interrupted") == 1
    machine.assert_no_processes()
    assert machine.kernels() == []


def test_interrupt_while_waiting_for_another_up(machine: UserMachine, index: Index) -> None:
    pause = index.pause(r"/tiny-1\.0.*\.whl$")
    first = machine.start_up()
    first.wait_until(pause.reached.is_set, "the installation")
    second = machine.start_up()
    second.wait_until(lambda: "waiting for it" in second.text, "the message that it waits")
    second.send(signal.SIGINT)
    second.wait().expect(130)
    index.clear_faults()
    first.wait().expect(0)
    machine.assert_kernel_works()


def test_second_interrupt(machine: UserMachine, index: Index) -> None:
    # The second Ctrl-C arrives while the first is handled.
    pause = index.pause(r"/tiny-1\.0.*\.whl$", after=100)
    up = machine.start_up()
    up.wait_until(pause.reached.is_set, "a part of the wheel")
    up.send(signal.SIGINT, group=True)
    up.send(signal.SIGINT, group=True)
    up.wait().expect(130)
    machine.assert_no_processes()
    assert machine.kernels() == []
