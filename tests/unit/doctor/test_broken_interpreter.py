"""What files show about an interpreter that does not start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from colabenv.doctor import broken_interpreter
from colabenv.doctor.broken_interpreter import InterpreterStart


def make_environment(
    folder: Path, *, config: str | None = "home = /usr/bin\nversion_info = 3.11.7.final.0\n"
) -> Path:
    """Create a folder like a virtual environment and return the path of its Python."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "activate").touch()
    (folder / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    if config is not None:
        (folder / "pyvenv.cfg").write_text(config)
    (folder / "bin" / "python").symlink_to(sys.executable)
    return folder / "bin" / "python"


def test_finds_an_environment_without_pyvenv_cfg(tmp_path: Path) -> None:
    complete = make_environment(tmp_path / "complete")
    assert broken_interpreter.find_lost_environment(str(complete)) == ""
    lost = make_environment(tmp_path / "lost", config=None)
    assert broken_interpreter.find_lost_environment(str(lost)) == str(tmp_path / "lost")
    # ~/.local has `bin` and packages, but is not an environment.
    local = make_environment(tmp_path / ".local", config=None)
    (tmp_path / ".local" / "bin" / "activate").unlink()
    assert broken_interpreter.find_lost_environment(str(local)) == ""


def test_finds_the_missing_target_of_links(tmp_path: Path) -> None:
    assert broken_interpreter.find_missing_base(sys.executable) == ""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("gone/python3.11")
    assert broken_interpreter.find_missing_base(str(tmp_path / "a")) == str(tmp_path / "gone" / "python3.11")
    (tmp_path / "loop").symlink_to("loop")
    assert broken_interpreter.find_missing_base(str(tmp_path / "loop"))


def test_reads_the_version_from_files(tmp_path: Path) -> None:
    python = make_environment(tmp_path / "a")
    assert broken_interpreter.read_environment_files(str(python)) == (
        str(tmp_path / "a"),
        (tmp_path / "a/pyvenv.cfg").read_text(),
        (3, 11, 0),
    )
    lost = make_environment(tmp_path / "b", config=None)
    assert broken_interpreter.read_environment_files(str(lost))[2] == (3, 11, 0)
    assert broken_interpreter.read_environment_files("/nowhere/bin/python")[1:] == ("", (0, 0, 0))


def test_start_without_site_adds_site_packages(tmp_path: Path) -> None:
    without_site = InterpreterStart(["/usr/lib/python3.11"], "/usr", "/usr", ["sys"])
    python = make_environment(tmp_path)
    (tmp_path / "lib" / "python3.9" / "site-packages").mkdir(parents=True)
    start = broken_interpreter.start_without_site(str(python), without_site)
    assert start.path == ["/usr/lib/python3.11", str(tmp_path / "lib/python3.11/site-packages")]
    assert start.prefix == str(tmp_path)


def test_startup_files_run_one_at_a_time(tmp_path: Path) -> None:
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "good.pth").write_text("import os\n")
    (packages / "usercustomize.py").write_text("raise SystemExit(3)\n")
    standard = [entry for entry in sys.path if not entry.endswith("-packages")]
    code_by_file = dict(broken_interpreter.startup_files([*standard, str(packages)]))
    assert list(code_by_file) == [str(packages / "good.pth"), str(packages / "usercustomize.py")]
    results = [
        subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
        for code in code_by_file.values()
    ]
    assert [result.stdout.endswith(broken_interpreter.COMPLETED) for result in results] == [True, False]
