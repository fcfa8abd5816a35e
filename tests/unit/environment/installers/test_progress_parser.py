"""Reading progress from recorded terminal output of uv 0.13 and pip 26: five packages, two of them several MB."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from colabenv.environment.installers.progress_parser import ProgressParser

RECORDED = Path(__file__).parent / "recorded"


def parse_recording(name: str, size: int | None = None) -> list[str]:
    """Return the parser's texts for a recording, fed in its original pieces or in pieces of `size` characters."""
    pieces: list[str] = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    if size is not None:
        output = "".join(pieces)
        pieces = [output[start : start + size] for start in range(0, len(output), size)]
    parser = ProgressParser(5)
    return [parser.feed(piece) for piece in pieces]


def downloaded_megabytes(texts: list[str]) -> list[float]:
    return [float(text.split(" MB")[0].split()[-3]) for text in texts if " MB" in text]


@pytest.mark.parametrize("size", [None, 37, 1000, 10**6])
def test_uv_progress(size: int | None) -> None:
    texts = parse_recording("uv", size)
    assert texts[-1] == "5 of 5 packages installed"
    if size == 10**6:
        return
    assert "3 of 5 packages" in " ".join(texts)
    megabytes = downloaded_megabytes(texts)
    assert megabytes == sorted(megabytes)
    assert megabytes[-1] > 5
    assert any(text.endswith("of 9 MB") for text in texts)


@pytest.mark.parametrize("size", [None, 37, 1000])
def test_pip_progress(size: int | None) -> None:
    texts = parse_recording("pip", size)
    assert texts[-1] == "5 of 5 packages, 9 of 9 MB"
    megabytes = downloaded_megabytes(texts)
    assert megabytes == sorted(megabytes)
    assert megabytes[0] < megabytes[-1]


@pytest.mark.parametrize("name", ["uv", "pip"])
def test_first_output_contains_no_progress(name: str) -> None:
    assert parse_recording(name)[0] == "0 of 5 packages"


def test_name_split_across_chunks() -> None:
    parser = ProgressParser(2)
    assert parser.feed("Collecting nu") == "0 of 2 packages"
    assert parser.feed("mpy==1.26.4 (from -r x)\n") == "1 of 2 packages"


def test_unrelated_output_keeps_the_last_progress() -> None:
    parser = ProgressParser(7)
    assert parser.feed("warning: something [x/y] (a/b)\n") == "0 of 7 packages"
    assert parser.feed("") == "0 of 7 packages"


def test_progress_never_exceeds_the_total() -> None:
    parser = ProgressParser(1)
    assert parser.feed("Collecting a==1\nCollecting b==1\nCollecting c==1\n") == "1 of 1 packages"
