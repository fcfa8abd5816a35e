"""Compiling bytecode in the background, while the check runs."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from colabenv.embedded import precompile
from colabenv.environment.build import Environment, Stamp
from colabenv.environment.bytecode import compile_in_background
from colabenv.system.process import SystemRunner
from support.runner import RecordedRunner
from support.timeouts import TIMEOUT, wait_until

STAMP = Stamp("a", "d", "3.11.7", "cpu", "plain", 1, "uv", 1.0, "p", "l")


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    for name in (
        "keras/__init__.py",
        "keras/layers/core.py",
        "keras/tests/slow.py",
        "tensorflow/python/ops.py",
    ):
        module = site / name
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text("x = 1\n")
    (site / "keras" / "broken.py").write_text("def (:\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    return Environment(tmp_path, STAMP)


def compiled_folders(environment: Environment) -> list[str]:
    site = environment.prefix / "lib" / "python3.11" / "site-packages"
    return sorted(str(path.relative_to(site).parent.parent) for path in site.rglob("*.pyc"))


def test_modules_of_large_frameworks_are_compiled_while_the_body_runs(environment: Environment) -> None:
    with compile_in_background(environment, {"keras", "tensorflow", "numpy"}, SystemRunner()):
        wait_until(lambda: len(compiled_folders(environment)) == 3, "three compiled modules")
    assert compiled_folders(environment) == ["keras", "keras/layers", "tensorflow/python"]


def test_environment_without_large_frameworks_starts_no_process(environment: Environment) -> None:
    runner = RecordedRunner()
    with compile_in_background(environment, {"numpy", "pandas"}, runner):
        pass
    assert runner.calls == []


def test_compilation_stops_if_the_body_fails(environment: Environment) -> None:
    runner = RecordedRunner()
    with pytest.raises(KeyError), compile_in_background(environment, {"keras"}, runner):
        raise KeyError("check")
    assert [child.stopped for child in runner.started] == [True]


def test_python_that_does_not_start_is_ignored(environment: Environment) -> None:
    environment.python.unlink()
    with compile_in_background(environment, {"keras"}, SystemRunner()):
        body_ran = True
    assert body_ran


def test_existing_bytecode_is_kept(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text("x = 1\n")
    target = Path(cache_from_source(str(source)))
    target.parent.mkdir()
    target.write_bytes(b"existing")
    precompile.compile_missing(str(source))
    assert target.read_bytes() == b"existing"


def test_stopped_compilation_leaves_only_complete_files(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"m{number}.py").write_text("x = [" + "1, " * 300 + "]\n")
    child = subprocess.Popen([sys.executable, "-I", precompile.__file__, str(tmp_path), "."])
    wait_until(lambda: list(tmp_path.glob("__pycache__/*")), "the first file", pause=0.001)
    child.terminate()
    assert child.wait(timeout=TIMEOUT) == 0
    files = list((tmp_path / "__pycache__").iterdir())
    assert 0 < len(files) < 3000
    assert all(path.suffix == ".pyc" for path in files)
