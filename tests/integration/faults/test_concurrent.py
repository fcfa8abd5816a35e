"""Concurrent `up` of one profile: all succeed, with one environment and one kernel."""

from __future__ import annotations

from support.bench import Bench
from support.index_server import Index


def test_three_ups_wait_for_each_other(bench: Bench, index: Index) -> None:
    # The first is paused until all others wait.
    hold = index.hold(r"/tiny-1\.0.*\.whl$")
    first = bench.start_up()
    first.until(hold.reached.is_set, "the installation")
    others = [bench.start_up() for _ in range(2)]
    for other in others:
        other.until(lambda other=other: "waiting for it" in other.text, "the message that it waits")  # type: ignore[misc]
    index.clear_faults()
    assert "waiting for it" not in first.done().expect(0).text
    for other in others:
        assert "nothing has changed" in other.done().expect(0).text
    assert len(bench.environments()) == 1
    bench.works()


def test_two_ups_without_a_pause(bench: Bench) -> None:
    results = [up.done() for up in [bench.start_up(), bench.start_up()]]
    assert [result.code for result in results] == [0, 0], [result.text for result in results]
    assert len(bench.environments()) == 1
    bench.works()


def test_waiting_up_builds_after_the_first_is_killed(bench: Bench, index: Index) -> None:
    hold = index.hold(r"/tiny-1\.0.*\.whl$")
    first = bench.start_up()
    first.until(hold.reached.is_set, "the installation")
    second = bench.start_up()
    second.until(lambda: "waiting for it" in second.text, "the message that it waits")
    first.process.kill()
    first.done()
    index.clear_faults()
    second.done().expect(0)
    bench.works()
