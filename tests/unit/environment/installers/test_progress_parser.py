"""Progress read from what uv 0.13 and pip 26 really drew under a pty: five packages, two of them some megabytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from colabenv.environment.installers.progress_parser import ProgressParser

RECORDED = Path(__file__).parent / "recorded"


def phrases(name: str, size: int | None = None) -> list[str]:
    """What the meter says to a recording, in the pieces it came in or in pieces of `size` characters."""
    pieces: list[str] = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    if size is not None:
        whole = "".join(pieces)
        pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    meter = ProgressParser(5)
    return [meter.feed(piece) for piece in pieces]


def numbers(said: list[str], word: str) -> list[float]:
    return [float(phrase.split(word)[0].split()[-3]) for phrase in said if word in phrase]


@pytest.mark.parametrize("size", [None, 37, 1000, 10**6])
def test_uv_progress(size: int | None) -> None:
    said = phrases("uv", size)
    assert said[-1] == "5 of 5 packages installed"
    if size == 10**6:
        return
    assert "3 of 5 packages" in " ".join(said)
    done = numbers(said, " MB")
    assert done == sorted(done)
    assert done[-1] > 5
    assert any(phrase.endswith("of 9 MB") for phrase in said)


@pytest.mark.parametrize("size", [None, 37, 1000])
def test_pip_progress(size: int | None) -> None:
    said = phrases("pip", size)
    assert said[-1] == "5 of 5 packages, 9 of 9 MB"
    done = numbers(said, " MB")
    assert done == sorted(done)
    assert done[0] < done[-1]


@pytest.mark.parametrize("name", ["uv", "pip"])
def test_first_lines_are_not_progress(name: str) -> None:
    assert phrases(name)[0] == "0 of 5 packages"


def test_name_split_across_chunks() -> None:
    meter = ProgressParser(2)
    assert meter.feed("Collecting nu") == "0 of 2 packages"
    assert meter.feed("mpy==1.26.4 (from -r x)\n") == "1 of 2 packages"


def test_unrelated_output_keeps_the_last_progress() -> None:
    meter = ProgressParser(7)
    assert meter.feed("warning: something [x/y] (a/b)\n") == "0 of 7 packages"
    assert meter.feed("") == "0 of 7 packages"


def test_progress_never_exceeds_the_total() -> None:
    meter = ProgressParser(1)
    assert meter.feed("Collecting a==1\nCollecting b==1\nCollecting c==1\n") == "1 of 1 packages"
