"""The download of CPython 3.7, which uv does not offer, from a mirror on loopback.

Its archive is one of python-build-standalone's "full" archives: the installation is in `python/install`, beside
what it was built from. The tests pack this machine's Python 3.7 the same way.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard

from colabenv.environment.installers.base import Job
from colabenv.environment.installers.select import find_uv
from colabenv.environment.source import PackageSource
from colabenv.errors import CorruptError
from colabenv.lock.lockfile import Header, Lock
from colabenv.system.workspace import Workspace
from support.index_server import Index
from support.mirror import offer_python, pack_python
from support.pythons import find_cpython
from support.user_machine import UserMachine

ARCHIVE = "/20200822/cpython-3.7.9-x86_64-unknown-linux-gnu-pgo-20200823T0036.tar.zst"


def pack_full_archive(executable: Path) -> bytes:
    archive = io.BytesIO(pack_python(executable, "python/install"))
    with tarfile.open(fileobj=archive, mode="a") as tar:
        for name in ("python/PYTHON.json", "python/build/Modules/main.o"):
            tar.addfile(tarfile.TarInfo(name))
    return zstandard.compress(archive.getvalue(), level=1)


def test_full_archive_is_installed(machine: UserMachine, index: Index) -> None:
    executable = find_cpython("3.7")
    if executable is None or executable.resolve().is_relative_to("/usr"):
        pytest.skip("this machine has no Python 3.7 in its own folder")
    executable = executable.resolve()
    url = offer_python(index, executable, "python.tar.zst", pack_full_archive(executable))
    machine.environ |= {"PYENV_ROOT": "/nonexistent", "UV_PYTHON_DOWNLOADS_JSON_URL": url}
    workspace = Workspace(machine.environ)
    installer = find_uv(workspace)
    for attempt in ("downloaded", "found"):
        interpreter = PackageSource(installer, workspace).find_interpreter("3.7")
        assert interpreter.origin == "downloaded by uv", attempt
        assert interpreter.path.resolve().is_relative_to(workspace.home.pythons), attempt
    assert sum("python.tar.zst" in request for request in index.requests) == 1
    lock = Lock(Header("demo", "0" * 64, "3.7", "cpu", "plain", ""), ())
    job = Job(lock, interpreter, machine.root / "environment", (), ())
    installer.create(job)
    code = (
        "import ctypes, sqlite3, ssl, sys, sysconfig; print('%d.%d' % sys.version_info[:2], sys.base_prefix)"
    )
    output = subprocess.run([job.python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    version, base = output.split()
    assert version == "3.7"
    assert Path(base).resolve().is_relative_to(workspace.home.pythons)


def test_archive_with_another_hash_is_refused(machine: UserMachine, index: Index) -> None:
    index.extra_files[ARCHIVE] = b"something else"
    machine.environ |= {"PYENV_ROOT": "/nonexistent", "UV_PYTHON_INSTALL_MIRROR": index.site}
    workspace = Workspace(machine.environ)
    with pytest.raises(CorruptError, match=r"The downloaded Python 3\.7 is damaged, so it was not used\."):
        PackageSource(find_uv(workspace), workspace).find_interpreter("3.7")
    assert any(ARCHIVE in request for request in index.requests)
    assert not list(workspace.home.pythons.glob("cpython-3.7*"))
