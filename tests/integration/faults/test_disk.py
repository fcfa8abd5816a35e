"""A full disk: the error says so, the old environment still works, and the command succeeds with more space."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from support.bench import TINY, Bench
from support.index_server import Index
from support.mounts import SmallDisk, small_disk
from support.packages import wheel

#: Megabytes. An environment with a kernel takes 90; `up` requires 300 free before it starts.
SIZE = 600


@pytest.fixture
def disk(bench: Bench, index: Index) -> Iterator[SmallDisk]:
    """A small disk at COLABENV_HOME with a working environment, and a profile that requires a new one."""
    with small_disk(bench.store, SIZE) as disk:
        bench.up().expect(0)
        index.add(*wheel("tiny", "2.0", files={"tiny.py": "VERSION = '2.0'\n", "tiny.bin": bytes(5_000_000)}))
        bench.profile.write_text(TINY.replace("[tiny]\nverify", "[tiny==2.0]\nverify"))
        yield disk


@pytest.mark.parametrize("cache_on_disk", [False, True], ids=["while linking", "while unpacking"])
def test_disk_fills_up_during_the_installation(
    bench: Bench, index: Index, disk: SmallDisk, cache_on_disk: bool
) -> None:
    if cache_on_disk:  # as on Colab, where UV_CACHE_DIR is not set
        shutil.copytree(bench.environ["UV_CACHE_DIR"], bench.store / "cache" / "uv", symlinks=True)
        del bench.environ["UV_CACHE_DIR"]
    hold = index.hold(r"/tiny-2\.0[^/]*\.whl$")
    up = bench.start_up()
    up.until(hold.reached.is_set, "the installation")
    disk.fill(leave=500_000)
    index.clear_faults()
    result = up.done().expect(3)
    assert "The disk filled up while installing" in result.text
    assert "COLABENV_HOME" in result.text
    assert len(bench.environments()) == 1
    bench.works("1.0")
    disk.resize(2 * SIZE)
    bench.up().expect(0)
    bench.works("2.0")


def test_almost_full_disk_is_refused(bench: Bench, disk: SmallDisk) -> None:
    disk.resize(200)
    result = bench.up().expect(3)
    assert "MB are free" in result.text
    bench.works()


def test_full_disk_for_temporary_files(bench: Bench) -> None:
    with small_disk(bench.temporary, 1):
        (bench.temporary / "ballast").write_bytes(bytes(1 << 20))
        # Python and uv use another folder if this one is full.
        bench.up().expect(0)
        bench.works()


def test_unwritable_log_is_ignored(bench: Bench) -> None:
    bench.store.mkdir()
    (bench.store / "logs").write_text("not a folder")
    bench.up().expect(0)
    bench.works()


def test_unwritable_kernels_folder(bench: Bench) -> None:
    # The environment is checked but not registered, so the next `up` only registers it.
    shutil.rmtree(bench.jupyter)
    bench.jupyter.write_text("not a folder")
    result = bench.up().expect(3)
    assert "kernel.json could not be written" in result.text
    bench.jupyter.unlink()
    retry = bench.up().expect(0)
    assert "Installing" not in retry.text
    bench.works()
