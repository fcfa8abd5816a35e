"""An environment that one machine pushed to Drive is restored on the next one, without the package index."""

from __future__ import annotations

import shutil

import pytest

from support.colab import steps
from support.colab.machine import ColabMachine
from support.colab.page import Page

# tests/integration/store and tests/integration/restore test the store itself. These take half a minute.
pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.wheels]

PROFILE = 'python: "3.11"\npackages: [six==1.16.0]\nverify: {imports: [six]}\n'
STORE = "/content/drive/MyDrive/colabenv"
#: With an unreachable index and an empty cache, all packages must come from the store.
OFFLINE = "%env UV_DEFAULT_INDEX=http://127.0.0.1:9/simple\n%env UV_CACHE_DIR=/tmp/no-cache"


def test_a_second_machine_restores_from_the_store(machine: ColabMachine, notebook: Page) -> None:
    (machine.content / "drive/MyDrive").mkdir(parents=True)
    # A separate cache: environments of other tests have links to the shared cache and may change its files.
    assert notebook.run("%env UV_CACHE_DIR=/tmp/own-cache").status == "ok"
    profile = steps.write_profile(machine, "kept", PROFILE)
    done = steps.up(notebook, f"{profile} --store {STORE} --push")
    steps.assert_clean(done)
    assert any(line.startswith("  pushed") and STORE in line for line in steps.result_lines(done)), (
        done.screen
    )

    # On a new machine, only Drive and the lock beside the profile remain.
    shutil.rmtree(machine.home / ".local/share/colabenv")
    shutil.rmtree(machine.home / ".local/share/jupyter/kernels/colabenv-kept")
    assert notebook.run(OFFLINE).status == "ok"
    done = steps.up(notebook, f"{profile} --frozen --store {STORE}")
    steps.assert_clean(done)
    (line,) = (line for line in steps.result_lines(done) if line.startswith("  store"))
    count = len((machine.content / "kept.cpu.lock.txt").read_text().split("==")) - 1
    assert f"restored {count} of {count} packages from {STORE}" in line
    notebook.reload("colabenv-kept")
    assert steps.run_and_read(notebook, "import six\nprint(six.__version__)") == "1.16.0"
    assert steps.run_and_read(notebook, steps.KERNEL_CLASS) == steps.COLAB_KERNEL
