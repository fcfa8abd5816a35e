"""Atomic writes, file locks between processes, and file systems read from mountinfo."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from colabenv.errors import DiskError
from colabenv.system.files import (
    Mount,
    disk_error,
    find_existing_ancestor,
    find_mount,
    hash_file,
    hold_file_lock,
    measure_free_space,
    measure_tree,
    remove_tree,
    write_atomically,
)
from support.timeouts import TIMEOUT


def test_write_creates_the_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    write_atomically(path, "Grüße\n")
    assert path.read_bytes() == "Grüße\n".encode()
    assert path.stat().st_mode & 0o777 == 0o644
    write_atomically(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert [entry.name for entry in path.parent.iterdir()] == ["c.txt"]


def test_parent_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DiskError, match="could not be written") as caught:
        write_atomically(tmp_path / "file" / "child.txt", "y")
    assert "COLABENV_HOME" in caught.value.hint
    assert (tmp_path / "file").read_text() == "x"


def test_existing_folder_at_the_path_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "target" / "inside").mkdir(parents=True)
    with pytest.raises(DiskError):
        write_atomically(tmp_path / "target", "y")
    assert [entry.name for entry in tmp_path.iterdir()] == ["target"]


def test_too_long_name_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="too long"):
        write_atomically(tmp_path / ("x" * 300), "y")
    assert list(tmp_path.iterdir()) == []


def test_failed_write_keeps_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_text("old")
    # In a child process, a limit on the file size makes the write fail as on a full disk.
    code = (
        "import resource, signal, sys\nfrom pathlib import Path\n"
        "from colabenv.errors import DiskError\nfrom colabenv.system.files import write_atomically\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    write_atomically(Path(sys.argv[1]), b'x' * 100_000)\n"
        "except DiskError as error:\n    print(error.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True, timeout=TIMEOUT
    )
    assert "could not be written: File too large" in done.stdout
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f.txt"]


def test_full_disk_has_its_own_message() -> None:
    for code in (errno.ENOSPC, errno.EDQUOT):
        error = disk_error(OSError(code, os.strerror(code)), Path("/x/y"))
        assert error.message == "The disk is full: /x/y could not be written."
        assert "colabenv down" in error.hint


def test_error_without_errno_is_shown_unchanged() -> None:
    assert disk_error(OSError("odd"), Path("/x")).message == "/x could not be written: odd."


def test_hash_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert hash_file(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hash_file(tmp_path / "none") == ""
    assert hash_file(tmp_path) == ""


def test_free_space_is_measured_at_the_nearest_existing_folder(tmp_path: Path) -> None:
    assert measure_free_space(tmp_path / "not" / "yet" / "there") > 0
    assert find_existing_ancestor(tmp_path / "not" / "yet") == tmp_path
    assert find_existing_ancestor(Path("/no/such/place")) == Path("/")


COLAB = """\
740 600 0:64 / / rw,relatime master:212 - overlay overlay rw,lowerdir=/a:/b,upperdir=/c,workdir=/d
741 740 0:67 / /proc rw,nosuid - proc proc rw
742 740 8:1 /var/colab /var/colab rw,relatime - ext4 /dev/sda1 rw
743 740 0:70 / /content/drive rw,nosuid,nodev,relatime - fuse.drive drive rw,user_id=0,group_id=0
744 740 0:71 / /mnt/with\\040blank\\011tab\\134slash rw - nfs4 server:/x rw
745 743 0:72 / /content/drive/MyDrive/ram rw - tmpfs tmpfs rw
746 740 0:73 / /data rw - ext4 /dev/sdb1 rw
747 740 0:74 / /data rw - fuse.gcsfuse bucket rw
748 740 0:75 / /content/drive2 rw - ext4 /dev/sdc1 rw
"""


@pytest.mark.parametrize(
    ("path", "point", "kind", "unfit"),
    [
        ("/", "/", "overlay", False),
        ("/content", "/", "overlay", False),
        ("/content/colabenv/envs", "/", "overlay", False),
        ("/content/drive", "/content/drive", "fuse.drive", True),
        ("/content/drive/MyDrive/x", "/content/drive", "fuse.drive", True),
        ("/content/drive/MyDrive/ram/x", "/content/drive/MyDrive/ram", "tmpfs", False),
        ("/content/drive2/x", "/content/drive2", "ext4", False),
        ("/data/x", "/data", "fuse.gcsfuse", True),
        ("/mnt/with blank\ttab\\slash/x", "/mnt/with blank\ttab\\slash", "nfs4", True),
    ],
)
def test_find_mount_returns_the_innermost_mount(
    tmp_path: Path, path: str, point: str, kind: str, unfit: bool
) -> None:
    # Below a temporary folder, so that folders of this machine do not matter.
    text = "\n".join(
        " ".join(
            [*columns[:4], str(tmp_path) if columns[4] == "/" else f"{tmp_path}{columns[4]}", *columns[5:]]
        )
        for columns in (line.split(" ") for line in COLAB.splitlines())
    )
    (tmp_path / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
    expected = tmp_path if point == "/" else Path(f"{tmp_path}{point}")
    mount = find_mount(tmp_path / path.lstrip("/"), text)
    assert mount == Mount(expected, kind)
    assert mount.unfit is unfit


def test_find_mount_follows_links(tmp_path: Path) -> None:
    (tmp_path / "drive").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "drive")
    text = f"1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / {tmp_path}/drive rw - fuse.drive drive rw\n"
    mount = find_mount(tmp_path / "home" / "envs", text)
    assert mount is not None
    assert mount.unfit


def test_mount_point_may_have_non_ascii_characters(tmp_path: Path) -> None:
    (tmp_path / "Übung").mkdir()
    text = f"1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / {tmp_path}/Übung rw - nfs x rw\n"
    assert find_mount(tmp_path / "Übung", text) == Mount(tmp_path / "Übung", "nfs")


def test_invalid_mountinfo_is_ignored(tmp_path: Path) -> None:
    for text in ("", "nonsense", "1 2 3 - ext4", "\n\n", "1 0 0:1 / / rw ext4 x rw"):
        assert find_mount(tmp_path, text) is None, text


def test_find_mount_reads_the_mounts_of_this_machine() -> None:
    mount = find_mount(Path("/proc/self/status"))
    assert mount is not None
    assert (mount.point, mount.kind) == (Path("/proc"), "proc")


def test_network_file_systems_are_unfit() -> None:
    kinds = "nfs nfs4 cifs smb3 9p fuse fuse.sshfs fuse.rclone fuse.s3fs ceph lustre"
    assert [kind for kind in kinds.split() if not Mount(Path("/x"), kind).unfit] == []


def test_local_file_systems_are_fit() -> None:
    kinds = "ext4 xfs btrfs overlay tmpfs zfs fuse.fuse-overlayfs fuseblk"
    assert [kind for kind in kinds.split() if Mount(Path("/x"), kind).unfit] == []


def test_remove_tree_removes_everything(tmp_path: Path) -> None:
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "f").write_text("x")
    remove_tree(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []
    remove_tree(tmp_path / "tree")


def test_remove_tree_keeps_the_target_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "f").write_text("x")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "kept")
    remove_tree(tmp_path / "tree")
    assert (tmp_path / "kept" / "f").exists()


def test_remove_tree_removes_files_and_links(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    path = tmp_path / "tree"
    path.write_text("x")
    remove_tree(path)
    assert not path.exists()
    for target in ("kept", "missing"):
        path.symlink_to(tmp_path / target)
        remove_tree(path)
        assert [entry.name for entry in tmp_path.iterdir()] == ["kept"], target


def test_remove_tree_ignores_leftovers_of_an_earlier_removal(tmp_path: Path) -> None:
    (tmp_path / f".trash-tree-{os.getpid()}" / "old").mkdir(parents=True)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "f").write_text("x")
    remove_tree(tmp_path / "tree")
    assert [entry.name for entry in tmp_path.iterdir()] == [f".trash-tree-{os.getpid()}"]


def test_measure_tree_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").write_bytes(b"x" * 1000)
    (tmp_path / "b").write_bytes(b"x" * 24)
    (tmp_path / "link").symlink_to("deep")
    assert measure_tree(tmp_path) == 1024 + len("deep")
    assert measure_tree(tmp_path / "none") == 0


HOLD_LOCK = (
    "import sys, time\nfrom pathlib import Path\nfrom colabenv.system.files import hold_file_lock\n"
    "with hold_file_lock(Path(sys.argv[1]), lambda: None):\n    print('held', flush=True)\n    time.sleep(600)\n"
)


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """A process that holds the file lock."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, tmp_path / "locks" / "x"], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_file_lock_waits_until_the_other_process_dies(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    waited: list[float] = []

    def on_wait() -> None:
        waited.append(time.monotonic())
        threading.Timer(0.3, holder.kill).start()

    with hold_file_lock(tmp_path / "locks" / "x", on_wait):
        acquired = time.monotonic()
    holder.communicate(timeout=TIMEOUT)
    assert holder.returncode == -signal.SIGKILL
    assert len(waited) == 1
    assert acquired - waited[0] > 0.25


def test_released_file_lock_can_be_acquired_without_waiting(tmp_path: Path) -> None:
    waited: list[str] = []
    for _ in range(2):
        with hold_file_lock(tmp_path / "new" / "x", lambda: waited.append("waited")):
            pass
    assert waited == []


def test_error_releases_the_file_lock(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), hold_file_lock(tmp_path / "x", lambda: None):
        raise ValueError("inside")
    waited: list[str] = []
    with hold_file_lock(tmp_path / "x", lambda: waited.append("waited")):
        assert waited == []


def test_file_lock_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DiskError), hold_file_lock(tmp_path / "file" / "x", lambda: None):
        pytest.fail("the lock cannot be acquired")
