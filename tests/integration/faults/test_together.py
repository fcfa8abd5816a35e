"""Several `up` of one profile at once end with one environment, one kernel, and success for all."""

from __future__ import annotations

from support.bench import Bench
from support.index_server import Index


def test_three_ups_wait_for_each_other(bench: Bench, index: Index) -> None:
    # The first is held amid its work until all others have said that they wait.
    hold = index.hold(r"/tiny-1\.0.*\.whl$")
    first = bench.start_up()
    first.until(hold.reached.is_set, "the first is installing")
    others = [bench.start_up() for _ in range(2)]
    for other in others:
        other.until(lambda other=other: "waiting for it" in other.text, "it says that it waits")  # type: ignore[misc]
    index.clear_faults()
    assert "waiting for it" not in first.done().expect(0).text
    for other in others:
        assert "nothing has changed" in other.done().expect(0).text
    assert len(bench.environments()) == 1
    bench.works()


def test_two_profiles_build_concurrently(bench: Bench) -> None:
    # No process is paused: the first one builds.
    done = [up.done() for up in [bench.start_up(), bench.start_up()]]
    assert [one.code for one in done] == [0, 0], [one.text for one in done]
    assert len(bench.environments()) == 1
    bench.works()


def test_waiting_up_builds_after_the_first_is_killed(bench: Bench, index: Index) -> None:
    hold = index.hold(r"/tiny-1\.0.*\.whl$")
    first = bench.start_up()
    first.until(hold.reached.is_set, "the first is installing")
    second = bench.start_up()
    second.until(lambda: "waiting for it" in second.text, "it says that it waits")
    first.process.kill()
    first.done()
    index.clear_faults()
    second.done().expect(0)
    bench.works()
