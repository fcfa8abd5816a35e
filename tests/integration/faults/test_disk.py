"""A full disk: the error says so, the old environment still works, and the command succeeds with more space."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from support.index_server import Index
from support.mounts import SmallDisk, small_disk
from support.packages import wheel
from support.user_machine import TINY, UserMachine

#: Megabytes. An environment with a kernel takes 90; `up` requires 300 free before it starts.
SIZE = 600


@pytest.fixture
def disk(machine: UserMachine, index: Index) -> Iterator[SmallDisk]:
    """A small disk at COLABENV_HOME with a working environment, and a profile that requires a new one."""
    with small_disk(machine.colabenv_home, SIZE) as disk:
        machine.up().expect(0)
        index.add(*wheel("tiny", "2.0", files={"tiny.py": "VERSION = '2.0'\n", "tiny.bin": bytes(5_000_000)}))
        machine.profile.write_text(TINY.replace("[tiny]\nverify", "[tiny==2.0]\nverify"))
        yield disk


@pytest.mark.parametrize("cache_on_disk", [False, True], ids=["while linking", "while unpacking"])
def test_disk_fills_up_during_the_installation(
    machine: UserMachine, index: Index, disk: SmallDisk, cache_on_disk: bool
) -> None:
    if cache_on_disk:  # as on Colab, where UV_CACHE_DIR is not set
        shutil.copytree(
            machine.environ["UV_CACHE_DIR"], machine.colabenv_home / "cache" / "uv", symlinks=True
        )
        del machine.environ["UV_CACHE_DIR"]
    pause = index.pause(r"/tiny-2\.0[^/]*\.whl$")
    up = machine.start_up()
    up.wait_until(pause.reached.is_set, "the installation")
    disk.fill(leave=500_000)
    index.clear_faults()
    result = up.wait().expect(3)
    assert "The disk filled up while installing" in result.text
    assert "COLABENV_HOME" in result.text
    assert len(machine.environments()) == 1
    machine.assert_kernel_works("1.0")
    disk.resize(2 * SIZE)
    machine.up().expect(0)
    machine.assert_kernel_works("2.0")


def test_almost_full_disk_is_refused(machine: UserMachine, disk: SmallDisk) -> None:
    disk.resize(200)
    result = machine.up().expect(3)
    assert "MB are free" in result.text
    machine.assert_kernel_works()


def test_full_disk_for_temporary_files(machine: UserMachine) -> None:
    with small_disk(machine.temporary, 1):
        (machine.temporary / "ballast").write_bytes(bytes(1 << 20))
        # Python and uv use another folder if this one is full.
        machine.up().expect(0)
        machine.assert_kernel_works()


def test_unwritable_log_is_ignored(machine: UserMachine) -> None:
    machine.colabenv_home.mkdir()
    (machine.colabenv_home / "logs").write_text("not a folder")
    machine.up().expect(0)
    machine.assert_kernel_works()


def test_unwritable_kernels_folder(machine: UserMachine) -> None:
    # The environment is checked but not registered, so the next `up` only registers it.
    shutil.rmtree(machine.jupyter)
    machine.jupyter.write_text("not a folder")
    result = machine.up().expect(3)
    assert "kernel.json could not be written" in result.text
    machine.jupyter.unlink()
    retry = machine.up().expect(0)
    assert "Installing" not in retry.text
    machine.assert_kernel_works()
