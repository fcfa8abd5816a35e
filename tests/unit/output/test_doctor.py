"""What the doctor says, as text."""

from __future__ import annotations

from typing import Any

from colabenv.output.doctor import DoctorResult

FINDING = {
    "code": "CE101",
    "what": "b 1.9 is too old for a 1.",
    "evidence": ["a 1 requires b>=2"],
    "why": "Something installed later replaced it.",
    "commands": ["pip install 'b>=2'"],
}


def result(*findings: dict[str, Any], **more: Any) -> DoctorResult:
    commands = tuple(dict.fromkeys(one for finding in findings for one in finding["commands"]))
    return DoctorResult("this Python", "3.11.7", "/env/bin/python", 7, findings, commands, {}, **more)


def test_nothing_wrong() -> None:
    whole = result(tried=("import numpy",))
    assert whole.exit_code == 0
    assert whole.lines() == [
        "✓ Nothing wrong with this Python (Python 3.11.7, 7 packages); import numpy works."
    ]


def test_one_finding() -> None:
    found = result(FINDING)
    assert found.exit_code == 1
    assert found.lines() == [
        "1 thing is wrong with this Python (Python 3.11.7, 7 packages):",
        "",
        "1. b 1.9 is too old for a 1. [CE101]",
        "     a 1 requires b>=2",
        "   Why:  Something installed later replaced it.",
        "   Fix:  pip install 'b>=2'",
    ]


def test_of_several_the_commands_stand_together_at_the_end() -> None:
    other = {**FINDING, "code": "CE109", "commands": ["pip install c"]}
    assert result(FINDING, other).lines()[-3:] == [
        "All of it, in this order:",
        "  pip install 'b>=2'",
        "  pip install c",
    ]


def test_what_was_run_and_what_is_still_wrong() -> None:
    lines = result(FINDING, mended=("pip install c",)).lines()
    assert lines[:2] == [
        "  ran   pip install c",
        "1 thing is still wrong with this Python (Python 3.11.7, 7 packages):",
    ]


def test_the_session_that_has_old_modules_is_told() -> None:
    assert "Restart the session" in result(mended=("pip install c",), restart=True).lines()[-1]


def test_long_text_is_wrapped_and_evidence_is_not() -> None:
    long = {**FINDING, "why": "word " * 40, "evidence": ["/a/very/long/path" * 10]}
    lines = result(long).lines()
    assert max(len(line) for line in lines if "word" in line) <= 100
    assert "     " + "/a/very/long/path" * 10 in lines
