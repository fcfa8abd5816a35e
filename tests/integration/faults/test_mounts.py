"""Folders that cannot contain an environment or a lock: a FUSE mount, a read-only mount."""

from __future__ import annotations

from support.bench import Bench
from support.mounts import fuse, read_only


def test_environment_on_fuse_is_refused(bench: Bench) -> None:
    with fuse(bench.root / "drive"):
        result = bench.up(COLABENV_HOME=str(bench.root / "drive" / "MyDrive" / "colabenv")).expect(3)
    assert f"is on {bench.root}/drive, a fuse.tests mount" in result.text
    assert "Google Drive among them" in result.text
    assert "Unset COLABENV_HOME" in result.text
    assert bench.kernels() == []
    assert not bench.lock.exists()


def test_read_only_profile_folder(bench: Bench) -> None:
    stored_lock = bench.store / "locks" / "tiny.cpu.lock.txt"
    with read_only(bench.project):
        assert f"lock    {stored_lock}" in bench.up().expect(0).text
        assert stored_lock.is_file()
        bench.works()
        # --frozen uses that lock and finds the same environment.
        bench.run("down", "tiny").expect(0)
        bench.up("--frozen").expect(0)
        bench.works()
        assert len(bench.environments()) == 1
    assert not bench.lock.exists()
