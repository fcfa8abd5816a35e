"""What has been lost of an environment, and building it anew without losing the old one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from colabenv.environment.build import build, rebuild
from colabenv.environment.damage import find_damage
from colabenv.environment.installers.base import Job
from colabenv.errors import NetworkError
from colabenv.host.interpreters import Interpreter
from colabenv.lock.lockfile import Header, Lock
from colabenv.system.progress import Silent
from support.fake_installer import FakeInstaller
from unit.environment.test_build import STAMP

VERSIONS = {"six": "1.16.0"}


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An environment with one distribution: a module of four bytes and its RECORD."""
    root = tmp_path / "env" / "lib" / "python3.11" / "site-packages"
    info = root / "six-1.16.0.dist-info"
    info.mkdir(parents=True)
    (root / "six.py").write_text("six\n")
    (info / "RECORD").write_text(
        "six.py,sha256=x,4\nsix.pyc,,9\n__pycache__/six.pyc,sha256=x,9\nsix-1.16.0.dist-info/RECORD,,\n"
    )
    (tmp_path / "env" / "bin").mkdir()
    (tmp_path / "env" / "bin" / "python").symlink_to(sys.executable)
    return tmp_path / "env"


def test_a_whole_environment_has_no_damage(prefix: Path) -> None:
    assert find_damage(prefix, VERSIONS) is None
    assert find_damage(prefix, {"SIX".lower(): "1.16"}) is None, "another spelling of the version"


def test_a_module_that_is_gone(prefix: Path) -> None:
    (prefix / "lib/python3.11/site-packages/six.py").unlink()
    assert str(find_damage(prefix, VERSIONS)).endswith("six.py is missing or not whole")


def test_a_module_that_was_cut(prefix: Path) -> None:
    (prefix / "lib/python3.11/site-packages/six.py").write_text("s")
    assert str(find_damage(prefix, VERSIONS)).endswith("six.py is missing or not whole")


def test_a_distribution_that_is_gone_or_another(prefix: Path) -> None:
    assert find_damage(prefix, {**VERSIONS, "numpy": "2.0"}) == "numpy 2.0 is gone"
    assert find_damage(prefix, {"six": "1.17.0"}) == "six 1.17.0 is now 1.16.0"


@pytest.mark.parametrize("how", ["gone", "a file", "dangling"])
def test_a_python_that_is_not_what_it_was(prefix: Path, how: str) -> None:
    python = prefix / "bin" / "python"
    python.unlink()
    if how == "a file":
        python.write_text("garbage")
    if how == "dangling":
        python.symlink_to("/nowhere/python")
    assert find_damage(prefix, VERSIONS) == f"{python} is not what it was"


def test_a_rebuild_that_fails_gives_the_old_environment_back(tmp_path: Path) -> None:
    lock = Lock(Header("demo", "0" * 64, "3.11", "cpu", "plain", ""), ())
    job = Job(lock, Interpreter(Path(sys.executable), "3.11.7", "here"), tmp_path / "d1", (), ())
    build(job, STAMP, FakeInstaller(), Silent())
    (job.prefix / "mark").write_text("old")
    with pytest.raises(NetworkError):
        rebuild(job, STAMP, FakeInstaller(install_error=NetworkError("gone")), Silent())
    assert (job.prefix / "mark").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["d1"]
    rebuild(job, STAMP, FakeInstaller(), Silent())
    assert not (job.prefix / "mark").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["d1"]
