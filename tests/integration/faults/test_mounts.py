"""Folders that lie where an environment or a lock cannot: a FUSE mount, a read-only one."""

from __future__ import annotations

from support.bench import Bench
from support.mounts import fuse, read_only


def test_an_environment_on_fuse_is_refused(bench: Bench) -> None:
    with fuse(bench.root / "drive"):
        done = bench.up(COLABENV_HOME=str(bench.root / "drive" / "MyDrive" / "colabenv")).expect(3)
    assert f"is on {bench.root}/drive, a fuse.tests mount" in done.text
    assert "Google Drive among them" in done.text
    assert "Unset COLABENV_HOME" in done.text
    assert bench.kernels() == []
    assert not bench.lock.exists()


def test_read_only_profile_folder(bench: Bench) -> None:
    kept = bench.store / "locks" / "tiny.cpu.lock.txt"
    with read_only(bench.project):
        assert f"lock    {kept}" in bench.up().expect(0).text
        assert kept.is_file()
        bench.works()
        # The lock that lies there is used: --frozen finds it, and an environment from it is the same one.
        bench.run("down", "tiny").expect(0)
        bench.up("--frozen").expect(0)
        bench.works()
        assert len(bench.environments()) == 1
    assert not bench.lock.exists()
