"""Concurrent `up` of one profile: all succeed, with one environment and one kernel."""

from __future__ import annotations

from support.index_server import Index
from support.user_machine import UserMachine


def test_three_ups_wait_for_each_other(machine: UserMachine, index: Index) -> None:
    # The first is paused until all others wait.
    pause = index.pause(r"/tiny-1\.0.*\.whl$")
    first = machine.start_up()
    first.wait_until(pause.reached.is_set, "the installation")
    others = [machine.start_up() for _ in range(2)]
    for other in others:
        other.wait_until(lambda other=other: "waiting for it" in other.text, "the message that it waits")  # type: ignore[misc]
    index.clear_faults()
    assert "waiting for it" not in first.wait().expect(0).text
    for other in others:
        assert "nothing has changed" in other.wait().expect(0).text
    assert len(machine.environments()) == 1
    machine.assert_kernel_works()


def test_two_ups_without_a_pause(machine: UserMachine) -> None:
    results = [up.wait() for up in [machine.start_up(), machine.start_up()]]
    assert [result.code for result in results] == [0, 0], [result.text for result in results]
    assert len(machine.environments()) == 1
    machine.assert_kernel_works()


def test_waiting_up_builds_after_the_first_is_killed(machine: UserMachine, index: Index) -> None:
    pause = index.pause(r"/tiny-1\.0.*\.whl$")
    first = machine.start_up()
    first.wait_until(pause.reached.is_set, "the installation")
    second = machine.start_up()
    second.wait_until(lambda: "waiting for it" in second.text, "the message that it waits")
    first.process.kill()
    first.wait()
    index.clear_faults()
    second.wait().expect(0)
    machine.assert_kernel_works()
