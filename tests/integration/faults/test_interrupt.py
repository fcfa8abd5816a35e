"""Ctrl-C: one message, exit status 130, no process left running, and the next `up` succeeds."""

from __future__ import annotations

import signal

import pytest

from support.bench import Bench
from support.index_server import Index


@pytest.mark.parametrize(
    ("number", "group"),
    [(signal.SIGINT, False), (signal.SIGINT, True), (signal.SIGTERM, False)],
    ids=["SIGINT", "SIGINT to the group", "SIGTERM"],
)
def test_interrupt_while_installing(bench: Bench, index: Index, number: signal.Signals, group: bool) -> None:
    hold = index.hold(r"/tiny-1\.0.*\.whl$", after=100)
    up = bench.start_up()
    up.until(hold.reached.is_set, "a part of the wheel")
    up.send(number, group=group)
    text = up.done().expect(130).text
    assert text.count("Interrupted. No partial environment was left behind.") == 1
    bench.expect_quiet()
    assert bench.kernels() == []
    assert bench.environments() == []
    assert list(bench.temporary.iterdir()) == []
    if group:  # as a terminal does; the next `up` does not depend on which processes got the signal
        index.clear_faults()
        bench.up().expect(0)
        bench.works()


def test_interrupt_while_resolving(bench: Bench, index: Index) -> None:
    hold = index.hold("^/simple/tiny/")
    up = bench.start_up()
    up.until(hold.reached.is_set, "a request to the index")
    up.send(signal.SIGINT)
    assert up.done().expect(130).text.count("Interrupted") == 1
    bench.expect_quiet()
    assert not bench.lock.exists()


def test_interrupt_during_the_check(bench: Bench) -> None:
    bench.profile.write_text(
        bench.profile.read_text().replace(
            "verify: {imports: [tiny]}",
            "verify: {code: \"import pathlib, time; pathlib.Path('checking').touch(); time.sleep(600)\"}",
        )
    )
    up = bench.start_up()
    up.until((bench.project / "checking").exists, "the start of the check")
    up.send(signal.SIGINT, group=True)
    assert up.done().expect(130).text.count("Interrupted") == 1
    bench.expect_quiet()
    assert bench.kernels() == []


def test_interrupt_while_waiting_for_another_up(bench: Bench, index: Index) -> None:
    hold = index.hold(r"/tiny-1\.0.*\.whl$")
    first = bench.start_up()
    first.until(hold.reached.is_set, "the installation")
    second = bench.start_up()
    second.until(lambda: "waiting for it" in second.text, "the message that it waits")
    second.send(signal.SIGINT)
    second.done().expect(130)
    index.clear_faults()
    first.done().expect(0)
    bench.works()


def test_second_interrupt(bench: Bench, index: Index) -> None:
    # The second Ctrl-C arrives while the first is handled.
    hold = index.hold(r"/tiny-1\.0.*\.whl$", after=100)
    up = bench.start_up()
    up.until(hold.reached.is_set, "a part of the wheel")
    up.send(signal.SIGINT, group=True)
    up.send(signal.SIGINT, group=True)
    up.done().expect(130)
    bench.expect_quiet()
    assert bench.kernels() == []
