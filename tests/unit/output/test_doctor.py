"""The result of `doctor` as text and as JSON."""

from __future__ import annotations

from typing import Any

from colabenv.output.doctor import DoctorResult

FINDING = {
    "code": "CE101",
    "what": "b 1.9 is too old for a 1.",
    "evidence": ["a 1 requires b>=2"],
    "why": "It was replaced by a later installation.",
    "commands": ["pip install 'b>=2'"],
}


def result(*findings: dict[str, Any], **more: Any) -> DoctorResult:
    commands = tuple(dict.fromkeys(command for finding in findings for command in finding["commands"]))
    return DoctorResult("this Python", "3.11.7", "/env/bin/python", 7, findings, commands, {}, **more)


def test_no_findings() -> None:
    healthy = result(tried=("import numpy",))
    assert healthy.exit_code == 0
    assert healthy.lines() == [
        "✓ Nothing is wrong with this Python (Python 3.11.7, 7 packages); import numpy works."
    ]


def test_one_finding() -> None:
    broken = result(FINDING)
    assert broken.exit_code == 1
    assert broken.lines() == [
        "this Python (Python 3.11.7, 7 packages) has 1 problem:",
        "",
        "1. b 1.9 is too old for a 1. [CE101]",
        "     a 1 requires b>=2",
        "   Why:  It was replaced by a later installation.",
        "   Fix:  pip install 'b>=2'",
    ]


def test_commands_of_several_findings_are_listed_at_the_end() -> None:
    other = {**FINDING, "code": "CE109", "commands": ["pip install c"]}
    assert result(FINDING, other).lines()[-3:] == [
        "To fix all of them, in this order:",
        "  pip install 'b>=2'",
        "  pip install c",
    ]


def test_commands_that_fix_ran_are_listed_first() -> None:
    lines = result(FINDING, fixed=("pip install c",)).lines()
    assert lines[:2] == [
        "  ran   pip install c",
        "this Python (Python 3.11.7, 7 packages) still has 1 problem:",
    ]


def test_restart_is_suggested_after_a_fix() -> None:
    assert "Restart the session" in result(fixed=("pip install c",), restart=True).lines()[-1]


def test_text_is_wrapped_but_evidence_is_not() -> None:
    long_finding = {**FINDING, "why": "word " * 40, "evidence": ["/a/very/long/path" * 10]}
    lines = result(long_finding).lines()
    assert max(len(line) for line in lines if "word" in line) <= 100
    assert "     " + "/a/very/long/path" * 10 in lines


def test_json_lists_the_commands_that_fix_ran_as_mended() -> None:
    data = result(fixed=("pip install c",)).as_dict()
    assert data["mended"] == ("pip install c",)
    assert "fixed" not in data
