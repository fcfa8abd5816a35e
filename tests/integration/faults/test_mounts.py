"""Folders that cannot contain an environment or a lock: a FUSE mount, a read-only mount."""

from __future__ import annotations

from support.mounts import fuse, read_only
from support.user_machine import UserMachine


def test_environment_on_fuse_is_refused(machine: UserMachine) -> None:
    with fuse(machine.root / "drive"):
        result = machine.up(COLABENV_HOME=str(machine.root / "drive" / "MyDrive" / "colabenv")).expect(3)
    assert f"is on {machine.root}/drive, a fuse.tests mount" in result.text
    assert "Google Drive among them" in result.text
    assert "Unset COLABENV_HOME" in result.text
    assert machine.kernels() == []
    assert not machine.lock.exists()


def test_read_only_profile_folder(machine: UserMachine) -> None:
    stored_lock = machine.colabenv_home / "locks" / "tiny.cpu.lock.txt"
    with read_only(machine.project):
        assert f"lock    {stored_lock}" in machine.up().expect(0).text
        assert stored_lock.is_file()
        machine.assert_kernel_works()
        # --frozen uses that lock and finds the same environment.
        machine.run("down", "tiny").expect(0)
        machine.up("--frozen").expect(0)
        machine.assert_kernel_works()
        assert len(machine.environments()) == 1
    assert not machine.lock.exists()
