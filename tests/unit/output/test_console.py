"""Console output on a terminal, in a pipe, as JSON, and on streams that cannot encode it."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from colabenv.errors import ColabenvError, ProfileError, UnsatisfiableError
from colabenv.output.console import Console
from colabenv.output.results import Result
from support.timeouts import TIMEOUT


class TextResult(Result):
    """A result with two lines of text."""

    def as_dict(self) -> dict[str, Any]:
        return {"name": "demo", "seconds": 1.5}

    def lines(self) -> list[str]:
        return ["✓ demo is built.", "  in /e"]


class TableResult(TextResult):
    """A result with a table and two lines of text."""

    def table(self) -> tuple[list[str], list[list[str]]]:
        return ["NAME", "STATE"], [["d" * 150, "ready"], ["short", "[red]broken[/red]"]]


def make_console(
    live: bool = False, as_json: bool = False, verbose: bool = False
) -> tuple[Console, io.StringIO, io.StringIO]:
    """Return a console and what it writes to standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    return Console(out, err, as_json=as_json, verbose=verbose, live=live), out, err


def with_log(error: ColabenvError, log: str) -> ColabenvError:
    error.log = log
    return error


def test_pipe_shows_a_line_per_stage_without_progress() -> None:
    console, out, err = make_console()
    console.stage("Choosing versions")
    console.update("1 of 2")
    console.note("Python 3.11 was picked.")
    console.stage("Installing")
    console.result(TextResult())
    assert err.getvalue() == "Choosing versions …\nPython 3.11 was picked.\nInstalling …\n"
    assert out.getvalue() == "✓ demo is built.\n  in /e\n"


def test_table_cells_are_not_changed() -> None:
    for live in (False, True):
        console, out, _ = make_console(live=live)
        console.result(TableResult())
        lines = on_screen(out.getvalue())
        assert lines[0].split() == ["NAME", "STATE"]
        assert lines[1].split() == ["d" * 150, "ready"]
        assert lines[2].split() == ["short", "[red]broken[/red]"]
        assert lines[3] == "✓ demo is built."


def on_screen(text: str) -> list[str]:
    """The lines that a notebook's output area shows. It supports `\\r` and colors, and no other control codes."""
    lines = []
    for line in re.sub(r"\x1b\[[0-9;]*m", "", text).split("\n"):
        cells: list[str] = []
        column = 0
        for character in line:
            if character == "\r":
                column = 0
                continue
            cells[column : column + 1] = [character]
            column += 1
        lines.append("".join(cells).rstrip())
    return lines


def test_terminal_redraws_one_line_and_clears_it() -> None:
    out = io.StringIO()
    console = Console(out, out, live=True)
    console.stage("Installing")
    console.update("1 of 200 packages, a long line")
    assert on_screen(out.getvalue())[-1].startswith("Installing: 1 of 200 packages, a long line (0 s)")
    console.note("Something to know.")
    console.stage("Checking")
    assert on_screen(out.getvalue()) == ["Something to know.", "Checking …"]
    console.result(TextResult())
    assert on_screen(out.getvalue()) == ["Something to know.", "✓ demo is built.", "  in /e", ""]


def test_terminal_output_moves_no_cursor() -> None:
    out = io.StringIO()
    console = Console(out, out, live=True, verbose=True)
    console.stage("Installing")
    console.update("x" * 500)
    console.error(with_log(ColabenvError("It broke.", hint="Fix it.", detail="because"), "/l"))
    escapes = set(re.findall(r"\x1b[^m]*m?", out.getvalue()))
    assert escapes <= {"\x1b[31m", "\x1b[2m", "\x1b[0m"}
    assert "\b" not in out.getvalue()


def test_frequent_updates_are_skipped() -> None:
    console, _, err = make_console(live=True)
    console.stage("Installing")
    for number in range(1000):
        console.update(f"{number} of 1000")
    assert err.getvalue().count("of 1000") <= 3


def test_long_stage_is_truncated_to_one_line() -> None:
    console, _, err = make_console(live=True)
    console.stage("s" * 300)
    drawn = err.getvalue().lstrip("\r")
    assert len(drawn) < 120
    assert drawn.endswith("…")


def test_verbose_keeps_each_stage_with_its_time() -> None:
    console, out, err = make_console(verbose=True)
    console.stage("Installing")
    console.stage("Checking")
    console.result(TextResult())
    assert re.fullmatch(
        r"Installing …\nInstalling: \d+\.\d s\nChecking …\nChecking: \d+\.\d s\n", err.getvalue()
    )
    assert out.getvalue().startswith("✓")


def test_error_shows_evidence_message_and_hint() -> None:
    console, out, err = make_console()
    console.error(
        with_log(UnsatisfiableError("No set fits.", hint="Loosen one.", detail="a\nb\n"), "/h/x.log")
    )
    assert err.getvalue() == "  a\n  b\n✗ No set fits.\n  Loosen one.\n  Full log: /h/x.log\n"
    assert out.getvalue() == ""


@pytest.mark.parametrize(("verbose", "lines"), [(False, 30), (True, 100)])
def test_long_evidence_is_truncated_unless_verbose(verbose: bool, lines: int) -> None:
    console, _, err = make_console(verbose=verbose)
    console.error(ColabenvError("It broke.", detail="\n".join(f"line {number}" for number in range(100))))
    output = err.getvalue().splitlines()
    assert len(output) == lines + 1
    assert output[-2:] == ["  line 99", "✗ It broke."]


def test_json_output_is_one_document() -> None:
    console, out, err = make_console(as_json=True)
    console.stage("Installing")
    console.note("Something to know.")
    console.result(TextResult())
    assert json.loads(out.getvalue()) == {"name": "demo", "seconds": 1.5}
    assert "Something to know." in err.getvalue()


def test_json_error_has_all_fields() -> None:
    console, out, _ = make_console(as_json=True)
    error = ProfileError("unknown key", source="p.yaml", line=3, column=1, value="x", hint="h")
    console.error(with_log(error, "/l"))
    assert json.loads(out.getvalue()) == {
        "error": "ProfileError",
        "message": "p.yaml, line 3, column 1: unknown key",
        "hint": "h",
        "detail": "",
        "exit_code": 2,
        "source": "p.yaml",
        "line": 3,
        "column": 1,
        "value": "x",
        "log": "/l",
    }


def test_unencodable_characters_are_replaced() -> None:
    for encoding in ("ascii", "latin-1", "cp1252"):
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding=encoding)
        console = Console(stream, stream, live=False)
        console.stage("Übung")
        console.result(TextResult())
        text = raw.getvalue().decode(encoding)
        assert "bung" in text, encoding
        assert "? demo is built.\n" in text, encoding


CODE = """
from colabenv.output.console import Console
class TextResult:
    def as_dict(self): return {}
    def lines(self): return ["✓ fine"]
    def table(self): return None
console = Console()
console.stage("Working")
console.result(TextResult())
"""


def test_closed_pipe_is_not_an_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    argv = [sys.executable, "-c", CODE]
    for stderr in (subprocess.STDOUT, subprocess.PIPE):
        done = subprocess.run(argv, stdout=writer, stderr=stderr, text=True, check=False, timeout=TIMEOUT)
        assert (done.returncode, done.stderr) in ((0, None), (0, "Working …\n"))
    os.close(writer)


@pytest.mark.parametrize(("variables", "colored"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_terminal_is_detected_and_no_color_is_respected(
    tmp_path: Path, variables: dict[str, str], colored: bool
) -> None:
    controller, terminal = pty.openpty()
    environ = {**os.environ, "PYTHONUTF8": "1", **variables}
    subprocess.run(
        [sys.executable, "-c", CODE],
        stdout=terminal,
        stderr=terminal,
        env=environ,
        cwd=tmp_path,
        check=True,
        timeout=TIMEOUT,
    )
    os.close(terminal)
    text = os.read(controller, 65536).decode()
    os.close(controller)
    assert on_screen(text.replace("\r\n", "\n"))[0] == "✓ fine"
    assert "\rWorking …" in text
    assert ("\x1b[32m" in text) is colored


def test_pipe_has_no_colors_and_no_redrawing(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        env=environ,
        cwd=tmp_path,
        check=True,
        timeout=TIMEOUT,
    )
    assert (done.stdout, done.stderr) == ("✓ fine\n", "Working …\n")


def test_one_pipe_for_both_streams_keeps_their_order(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONUTF8": "1"}
    argv = [sys.executable, "-c", CODE]
    text = subprocess.check_output(
        argv, stderr=subprocess.STDOUT, text=True, env=environ, cwd=tmp_path, timeout=TIMEOUT
    )
    assert text == "Working …\n✓ fine\n"
