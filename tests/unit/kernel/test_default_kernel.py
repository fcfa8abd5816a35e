"""The switch in plain processes: the `.pth` file, the hook and the notice. tests/e2e/colab has real kernels."""

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
    """The output of a Python that runs the line of the `.pth` file at its start, as `site` does."""
    code = "import sys; sys.orig_argv = ['python3', *sys.argv[2:]]; exec(sys.argv[1]); print('went on')"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, line, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    """A hook that reports its run."""
    path = tmp_path / "hook.py"
    path.write_text("def main(folder):\n    print('hook', folder)\n")
    return path


def test_pth_line_runs_the_hook_in_kernels_only(hook: Path, tmp_path: Path) -> None:
    line = build_pth_line(hook, tmp_path)
    assert line.startswith("import ")
    assert line.count("\n") == 1
    assert run_line(line, "-m", "colab_kernel_launcher", "-f", "x.json") == f"hook {tmp_path}\nwent on\n"
    assert run_line(line, "-m", "ipykernel_launcher", "-f", "x.json") == f"hook {tmp_path}\nwent on\n"
    for arguments in (["-m", "pip"], ["script.py", "-m", "ipykernel_launcher"], ["-m"], [], ["-c", "pass"]):
        assert run_line(line, *arguments) == "went on\n"


def test_pth_line_without_the_hook(hook: Path, tmp_path: Path) -> None:
    line = build_pth_line(hook, tmp_path)
    hook.unlink()
    assert run_line(line, "-m", "colab_kernel_launcher") == "went on\n"


def test_switching_back_leaves_no_file(tmp_path: Path) -> None:
    home, folder = Home(tmp_path / "home"), tmp_path / "site"
    folder.mkdir()
    assert find_switch(home, folder) is None
    made = switch_default_kernel("demo", tmp_path / "env", home, "lesson.yaml", folder)
    assert made == find_switch(home, folder)
    assert [path.name for path in folder.iterdir()] == [made.file.name]
    assert json.loads((home.root / "switch/state.json").read_text())["profile"] == str(
        Path("lesson.yaml").absolute()
    )
    assert restore_default_kernel(home, folder) == made.file
    assert list(folder.iterdir()) == []
    assert not (home.root / "switch").exists()
    assert restore_default_kernel(home, folder) is None


@pytest.mark.parametrize("state", ["", "[]", "{}", '{"name": 1, "prefix": 2}'])
def test_damaged_state_is_ignored(state: str, tmp_path: Path) -> None:
    home, folder = Home(tmp_path / "home"), tmp_path / "site"
    switch_default_kernel("demo", tmp_path / "env", home, "/p.yaml", folder)
    (home.root / "switch" / "state.json").write_text(state)
    assert find_switch(home, folder) is None


def test_obstacles_to_the_environments_kernel(tmp_path: Path) -> None:
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


def test_failed_starts_are_counted_per_kernel() -> None:
    arguments = switch_hook.parse_kernel_arguments(
        ["/usr/bin/python3", "-m", "colab_kernel_launcher", "-f", "/r/kernel-7.json"]
    )
    assert arguments == ["-f", "/r/kernel-7.json"]
    assert switch_hook.find_attempts_file("/s", arguments) == "/s/attempts/kernel-7.json"
    assert switch_hook.find_attempts_file("/s", []) == "/s/attempts/kernel"


def test_hook_without_a_state_lets_colabs_kernel_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    switch_hook.main(str(tmp_path))
    assert "Colab's own kernel starts" in capsys.readouterr().err


def test_hook_falls_back_with_a_notice(tmp_path: Path) -> None:
    """Runs in its own process, which becomes a program that prints its command line."""
    printer = tmp_path / "python"
    printer.write_text('#!/bin/sh\necho "$@"; echo back $COLABENV_SWITCH_BACK is $$\n')
    printer.chmod(0o755)
    state = {"name": "demo", "prefix": str(tmp_path / "gone"), "profile": "/content/p.yaml"}
    (tmp_path / "state.json").write_text(json.dumps(state))
    code = (
        "import runpy, sys; sys.executable = sys.argv[2]\n"
        "sys.orig_argv = ['python3', '-m', 'colab_kernel_launcher', '-f', 'c']\n"
        "runpy.run_path(sys.argv[1])['main'](sys.argv[3])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, switch_hook.__file__, str(printer), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    command, back = done.stdout.splitlines()
    assert command.startswith("-m colab_kernel_launcher -f c --InteractiveShellApp.code_to_run=")
    words = back.split()
    assert words[1] == words[3], "the variable names the process itself"
    notice = switch_notice.format_notice(str(tmp_path / "notice.json"))
    assert "environment demo did not start: its folder" in notice
    assert "!python -m colabenv up /content/p.yaml --switch" in notice
    assert "COLABENV_SWITCH_BACK" not in os.environ
