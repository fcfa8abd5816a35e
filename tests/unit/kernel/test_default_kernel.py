"""Switching the default kernel: the `.pth` file, the hook and the notice, in plain processes.

tests/e2e/colab tests the switch with real kernels.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from colabenv.embedded import switch_hook, switch_notice
from colabenv.kernel.default_kernel import (
    build_pth_line,
    find_switch,
    restore_default_kernel,
    switch_default_kernel,
)
from colabenv.system.home import Home


def run_line(line: str, *arguments: str) -> str:
    """Run the line of the `.pth` file at the start of a Python, as `site` does, and return the output."""
    code = "import sys; sys.orig_argv = ['python3', *sys.argv[2:]]; exec(sys.argv[1]); print('continued')"
    result = subprocess.run(
        [sys.executable, "-I", "-c", code, line, *arguments], capture_output=True, text=True, check=True
    )
    return result.stdout


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    """A hook that prints that it runs."""
    path = tmp_path / "hook.py"
    path.write_text("def main(folder):\n    print('hook', folder)\n")
    return path


def test_pth_line_runs_the_hook_in_kernels_only(hook: Path, tmp_path: Path) -> None:
    line = build_pth_line(hook, tmp_path)
    assert line.startswith("import ")
    assert line.count("\n") == 1
    assert run_line(line, "-m", "colab_kernel_launcher", "-f", "x.json") == f"hook {tmp_path}\ncontinued\n"
    assert run_line(line, "-m", "ipykernel_launcher", "-f", "x.json") == f"hook {tmp_path}\ncontinued\n"
    for arguments in (["-m", "pip"], ["script.py", "-m", "ipykernel_launcher"], ["-m"], [], ["-c", "pass"]):
        assert run_line(line, *arguments) == "continued\n"


def test_pth_line_does_nothing_without_the_hook(hook: Path, tmp_path: Path) -> None:
    line = build_pth_line(hook, tmp_path)
    hook.unlink()
    assert run_line(line, "-m", "colab_kernel_launcher") == "continued\n"


def test_restoring_the_default_kernel_leaves_no_files(tmp_path: Path) -> None:
    home, folder = Home(tmp_path / "home"), tmp_path / "site"
    folder.mkdir()
    assert find_switch(home, folder) is None
    switch = switch_default_kernel("demo", tmp_path / "env", home, "lesson.yaml", folder)
    assert switch == find_switch(home, folder)
    assert [path.name for path in folder.iterdir()] == [switch.file.name]
    assert json.loads((home.root / "switch/state.json").read_text())["profile"] == str(
        Path("lesson.yaml").absolute()
    )
    assert restore_default_kernel(home, folder) == switch.file
    assert list(folder.iterdir()) == []
    assert not (home.root / "switch").exists()
    assert restore_default_kernel(home, folder) is None


def test_damaged_switch_state_is_ignored(tmp_path: Path) -> None:
    home, folder = Home(tmp_path / "home"), tmp_path / "site"
    switch_default_kernel("demo", tmp_path / "env", home, "/p.yaml", folder)
    for state in ("", "[]", "{}", '{"name": 1, "prefix": 2}'):
        (home.root / "switch" / "state.json").write_text(state)
        assert find_switch(home, folder) is None, state


def test_obstacle_is_a_missing_file_or_repeated_failed_starts(tmp_path: Path) -> None:
    prefix, attempts = tmp_path / "env", tmp_path / "kernel-1.json"

    def find_obstacle() -> str | None:
        return switch_hook.find_obstacle(str(prefix), str(attempts))

    assert find_obstacle() == f"its folder {prefix} is gone"
    prefix.mkdir()
    for name in ("stamp.json", "bin/python", "colabenv/launcher.py", "colabenv/settings.json"):
        assert find_obstacle() == f"its folder {prefix} has no {name}"
        (prefix / name).parent.mkdir(exist_ok=True)
        (prefix / name).write_text("")
    assert find_obstacle() is None
    attempts.write_text(".")
    assert find_obstacle() is None
    attempts.write_text("..")
    assert find_obstacle() == "its kernel died 2 times while it started"


def test_failed_starts_are_counted_for_each_kernel() -> None:
    arguments = switch_hook.parse_kernel_arguments(
        ["/usr/bin/python3", "-m", "colab_kernel_launcher", "-f", "/r/kernel-7.json"]
    )
    assert arguments == ["-f", "/r/kernel-7.json"]
    assert switch_hook.find_attempts_file("/s", arguments) == "/s/attempts/kernel-7.json"
    assert switch_hook.find_attempts_file("/s", []) == "/s/attempts/kernel"


def test_hook_without_a_state_starts_colabs_kernel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    switch_hook.main(str(tmp_path))
    assert "Colab's own kernel starts" in capsys.readouterr().err


def test_hook_falls_back_with_a_notice(tmp_path: Path) -> None:
    """The hook runs in a separate process, which it replaces by a program that prints its arguments."""
    printer = tmp_path / "python"
    printer.write_text('#!/bin/sh\necho "$@"; echo $COLABENV_SWITCH_BACK $$\n')
    printer.chmod(0o755)
    state = {"name": "demo", "prefix": str(tmp_path / "gone"), "profile": "/content/p.yaml"}
    (tmp_path / "state.json").write_text(json.dumps(state))
    code = (
        "import runpy, sys; sys.executable = sys.argv[2]\n"
        "sys.orig_argv = ['python3', '-m', 'colab_kernel_launcher', '-f', 'c']\n"
        "runpy.run_path(sys.argv[1])['main'](sys.argv[3])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, switch_hook.__file__, str(printer), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    command, process_ids = result.stdout.splitlines()
    assert command.startswith("-m colab_kernel_launcher -f c --InteractiveShellApp.code_to_run=")
    variable, process_id = process_ids.split()
    assert variable == process_id, "COLABENV_SWITCH_BACK contains the ID of the process"
    notice = switch_notice.format_notice(str(tmp_path / "notice.json"))
    assert "environment demo did not start: its folder" in notice
    assert "!python -m colabenv up /content/p.yaml --switch" in notice
    assert "COLABENV_SWITCH_BACK" not in os.environ
