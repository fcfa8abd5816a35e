"""Reading and writing lock files, and errors for files that are not locks."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from colabenv.errors import DiskError, LockError
from colabenv.lock.files import iterate_locks, lock_paths, read_lock, write_lock
from colabenv.lock.lockfile import Header, Lock, Pin, format_lock
from colabenv.system.home import Home

LOCK = Lock(Header("demo", "0f" * 32, "3.11", "cpu", "plain", ""), (Pin("numpy", "1.26.4", ("sha256:00",)),))


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project" / "profile.yaml"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_lock_is_written_beside_its_profile(profile: Path, home: Home) -> None:
    assert next(iterate_locks(profile, "demo", "cpu", home), None) is None
    path = write_lock(LOCK, profile, home)
    assert path == profile.parent / "demo.cpu.lock.txt"
    assert next(iterate_locks(profile, "demo", "cpu", home), None) == (LOCK, path)
    assert next(iterate_locks(profile, "demo", "gpu", home), None) is None
    assert not home.root.exists()


def test_lock_is_written_to_the_home_if_the_folder_is_read_only(home: Home) -> None:
    path = write_lock(LOCK, Path("/proc/profile.yaml"), home)
    assert path == home.locks / "demo.cpu.lock.txt"
    assert next(iterate_locks(Path("/proc/profile.yaml"), "demo", "cpu", home), None) == (LOCK, path)


def test_lock_beside_the_profile_is_read_first(profile: Path, home: Home) -> None:
    beside, in_home = lock_paths(profile, "demo", "cpu", home)
    in_home.parent.mkdir(parents=True)
    in_home.write_text(format_lock(LOCK))
    assert next(iterate_locks(profile, "demo", "cpu", home), None) == (LOCK, in_home)
    beside.write_text("damaged")
    with pytest.raises(LockError, match=r"project/demo\.cpu\.lock\.txt is not a colabenv lock"):
        next(iterate_locks(profile, "demo", "cpu", home), None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "cannot be read"),
        (b"", "not a colabenv lock"),
        (b"# " + b"x" * 9_000_000, "larger than 8 MB"),
    ],
)
def test_file_that_is_not_a_lock_is_an_error(profile: Path, home: Home, content: bytes, message: str) -> None:
    (profile.parent / "demo.cpu.lock.txt").write_bytes(content)
    with pytest.raises(LockError, match=message) as caught:
        next(iterate_locks(profile, "demo", "cpu", home), None)
    assert "Git" in caught.value.hint


def test_folder_with_the_name_of_a_lock_is_ignored(profile: Path, home: Home) -> None:
    (profile.parent / "demo.cpu.lock.txt").mkdir()
    assert next(iterate_locks(profile, "demo", "cpu", home), None) is None
    path = write_lock(LOCK, profile, home)
    assert path == home.locks / "demo.cpu.lock.txt"
    assert next(iterate_locks(profile, "demo", "cpu", home), None) == (LOCK, path)


def test_error_names_the_home_if_nothing_can_be_written(profile: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="file/home/locks"):
        write_lock(LOCK, Path("/proc/profile.yaml"), Home(tmp_path / "file" / "home"))


READ = """
import os, sys
from colabenv.errors import LockError
from colabenv.lock.files import read_lock
if os.geteuid() == 0:
    os.setuid(65534)
try:
    read_lock(sys.argv[1])
except LockError as error:
    print(error.message)
"""


def test_unreadable_lock_is_an_error() -> None:
    # Not in tmp_path, which the other user that root becomes cannot open.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "demo.cpu.lock.txt"
        path.write_text(format_lock(LOCK))
        path.chmod(0)
        path.parent.chmod(0o755)
        result = subprocess.run(
            [sys.executable, "-c", READ, path], capture_output=True, text=True, check=True
        )
    assert "Permission denied" in result.stdout


def test_missing_lock_returns_none(tmp_path: Path) -> None:
    assert read_lock(str(tmp_path / "none")) is None
