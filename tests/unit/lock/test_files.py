"""Where locks lie, and what stands there that is none."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from colabenv.errors import DiskError, LockError
from colabenv.lock.files import lock_paths, read_first_lock, read_lock, write_lock
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


def test_a_lock_lies_beside_its_profile(profile: Path, home: Home) -> None:
    assert read_first_lock(profile, "demo", "cpu", home) is None
    place = write_lock(LOCK, profile, home)
    assert place == profile.parent / "demo.cpu.lock.txt"
    assert read_first_lock(profile, "demo", "cpu", home) == (LOCK, place)
    assert read_first_lock(profile, "demo", "gpu", home) is None
    assert not home.root.exists()


def test_where_that_is_not_to_be_written_it_lies_in_the_home(home: Home) -> None:
    place = write_lock(LOCK, Path("/proc/profile.yaml"), home)
    assert place == home.locks / "demo.cpu.lock.txt"
    assert read_first_lock(Path("/proc/profile.yaml"), "demo", "cpu", home) == (LOCK, place)


def test_the_one_beside_the_profile_is_looked_at_first(profile: Path, home: Home) -> None:
    beside, kept = lock_paths(profile, "demo", "cpu", home)
    kept.parent.mkdir(parents=True)
    kept.write_text(format_lock(LOCK))
    found = read_first_lock(profile, "demo", "cpu", home)
    assert found is not None
    assert found[1] == kept
    beside.write_text("damaged")
    with pytest.raises(LockError, match=r"project/demo\.cpu\.lock\.txt is not a colabenv lock"):
        read_first_lock(profile, "demo", "cpu", home)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "cannot be read"),
        (b"", "not a colabenv lock"),
        (b"# " + b"x" * 9_000_000, "over 8 MB"),
    ],
)
def test_what_cannot_be_a_lock_is_told(profile: Path, home: Home, content: bytes, message: str) -> None:
    (profile.parent / "demo.cpu.lock.txt").write_bytes(content)
    with pytest.raises(LockError, match=message) as caught:
        read_first_lock(profile, "demo", "cpu", home)
    assert "Git" in caught.value.hint


def test_a_folder_of_that_name_is_no_lock(profile: Path, home: Home) -> None:
    (profile.parent / "demo.cpu.lock.txt").mkdir()
    assert read_first_lock(profile, "demo", "cpu", home) is None
    place = write_lock(LOCK, profile, home)
    assert place == home.locks / "demo.cpu.lock.txt"
    assert read_first_lock(profile, "demo", "cpu", home) == (LOCK, place)


def test_where_neither_is_to_be_written_the_error_names_the_second(profile: Path, tmp_path: Path) -> None:
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


def test_a_lock_that_may_not_be_read_is_told() -> None:
    # Not in tmp_path, which is closed to the other user that root becomes here.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "demo.cpu.lock.txt"
        path.write_text(format_lock(LOCK))
        path.chmod(0)
        path.parent.chmod(0o755)
        done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, check=True)
    assert "Permission denied" in done.stdout


def test_no_file_is_no_lock(tmp_path: Path) -> None:
    assert read_lock(str(tmp_path / "none")) is None
