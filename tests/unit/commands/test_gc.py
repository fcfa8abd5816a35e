"""What `gc` removes and keeps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from colabenv.commands.gc import gc
from colabenv.system.files import hold_file_lock
from colabenv.system.process import find_processes_using
from support.fake_machine import FakeMachine, make_environment, register_kernel


def list_remaining(context: FakeMachine) -> set[str]:
    envs = context.home.envs
    return {str(path.relative_to(envs)) for path in envs.glob("*/*")} | {
        path.name for path in envs.glob(".trash-*")
    }


def test_removes_all_but_registered_environments(tmp_path: Path) -> None:
    context = FakeMachine(tmp_path)
    for name, digest in [
        ("kept", "d1"),
        ("kept", "d2"),
        ("unseen", "d1"),
        ("half", "d1"),
        ("kept", ".old-d3"),
    ]:
        make_environment(context, name, digest)
    (context.home.environment("half", "d1") / "stamp.json").unlink()
    (context.home.envs / ".trash-gone-1-2").mkdir()
    register_kernel(context, "kept", "d2")
    result = gc(context)
    assert list_remaining(context) == {"kept/d2"}
    assert [
        (str(Path(folder.path).relative_to(context.home.envs)), folder.why) for folder in result.removed
    ] == [
        (".trash-gone-1-2", "left by an interrupted removal"),
        ("half/d1", "an unfinished build"),
        ("kept/.old-d3", "left by an interrupted build"),
        ("kept/d1", "an environment without a registered kernel"),
        ("unseen/d1", "an environment without a registered kernel"),
    ]
    assert not (context.home.envs / "half").exists()


def test_dry_run_removes_nothing(tmp_path: Path) -> None:
    context = FakeMachine(tmp_path)
    make_environment(context, "unseen", "d1")
    result = gc(context, dry_run=True)
    assert [Path(folder.path).name for folder in result.removed] == ["d1"]
    assert result.freed_bytes == 0
    assert list_remaining(context) == {"unseen/d1"}
    assert result.lines()[-1] == "Nothing was removed."


def test_environment_in_use_is_kept(tmp_path: Path) -> None:
    context = FakeMachine(tmp_path)
    prefix = make_environment(context, "busy", "d1")
    program = [sys.executable, "-c", "input()"]
    with subprocess.Popen(program, env={"VIRTUAL_ENV": str(prefix)}, stdin=subprocess.PIPE) as process:
        assert find_processes_using(prefix) == [process.pid]
        result = gc(context)
    assert result.removed == ()
    assert f"{prefix} stays: process {process.pid} uses it." in result.notes
    assert find_processes_using(prefix) == []


def test_environments_locked_by_another_colabenv_are_kept(tmp_path: Path) -> None:
    context = FakeMachine(tmp_path)
    make_environment(context, "demo", "d1")
    with hold_file_lock(context.home.file_lock("demo"), lambda: None):
        result = gc(context)
    assert result.removed == ()
    assert result.notes == ("demo stays: another colabenv is working on it.",)


def test_downloads_are_removed_only_on_request(tmp_path: Path) -> None:
    context = FakeMachine(tmp_path)
    (context.home.cache / "wheels").mkdir(parents=True)
    (context.home.cache / "wheels" / "a.whl").write_bytes(b"1234")
    assert gc(context).removed == ()
    result = gc(context, cache=True)
    assert [folder.bytes for folder in result.removed] == [4]
    assert not context.home.cache.exists()
    assert gc(context, cache=True).lines()[0].startswith("✓ Nothing to remove; ")


def test_downloads_are_kept_while_another_colabenv_runs(tmp_path: Path) -> None:
    context = FakeMachine(tmp_path)
    make_environment(context, "demo", "d1")
    context.home.cache.mkdir(parents=True)
    with hold_file_lock(context.home.file_lock("demo"), lambda: None):
        gc(context, cache=True)
    assert context.home.cache.exists()
