"""scripts/lib/newest.py reports how the newest releases differ from the lock and which checks fail with them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).resolve().parents[2] / "scripts" / "lib" / "newest.py"


@pytest.fixture(scope="module")
def newest() -> Any:
    spec = importlib.util.spec_from_file_location("newest", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_differences_show_both_versions(newest: Any) -> None:
    locked = {"ruff": "0.17.6", "rich": "15.0.0", "dropped": "1.0"}
    assert newest.differences(locked, {"ruff": "0.18.0", "rich": "15.0.0", "added": "2.0"}) == [
        "added 2.0, which the lock does not have",
        "dropped 1.0, which is no longer required",
        "ruff 0.17.6 -> 0.18.0",
    ]


def test_excerpt_names_the_failed_tests(newest: Any) -> None:
    output = "...F..\nFAILED tests/unit/test_x.py::test_y - assert 1 == 2\n1 failed, 3 passed in 0.12s\n"
    assert newest.excerpt(output) == ["tests/unit/test_x.py::test_y - assert 1 == 2"]


def test_excerpt_is_short(newest: Any) -> None:
    names = newest.excerpt("".join(f"FAILED test_{number}\n" for number in range(30)))
    assert len(names) == newest.MOST + 1
    assert names[-1] == "... and 18 more"
    assert newest.excerpt("".join(f"line {number}\n\n" for number in range(30)))[-1] == "line 29"


def test_excerpt_omits_the_summary_line_of_pytest(newest: Any) -> None:
    for line in (
        "no tests ran in 0.01s",
        "=== no tests ran in 0.01s ===",
        "4 failed, 3628 passed, 1 skipped in 122.47s (0:02:02)",
        "============= 1 error in 0.30s =============",
    ):
        assert newest.excerpt(f"ImportError: no module\n{line}\n") == ["ImportError: no module"], line


def test_run_checks_returns_the_failed_checks(
    newest: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "good").write_text("#!/bin/sh\necho fine\n")
    (programs / "bad").write_text("#!/bin/sh\necho something is wrong >&2\nexit 3\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    assert newest.run_checks({"a check": ("bad", "x"), "another": ("good",)}, tmp_path) == ["a check"]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("a check: failed")
    assert printed[1] == "    something is wrong"
    assert printed[2].startswith("another: passed")
    assert (tmp_path / "another.txt").read_text() == "fine\n"
