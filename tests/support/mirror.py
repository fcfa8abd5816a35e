"""Fixtures for a mirror on loopback from which uv downloads a Python."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.index_server import Index
from support.pythons import interpreters
from support.user_machine import TINY, UserMachine
from support.wheelhouse import wheelhouse

CANDIDATES = ["3.12", "3.13", "3.10", "3.9"]
#: Parts of an installation that environments do not need.
LEFT_OUT = {
    "test",
    "tests",
    "idlelib",
    "ensurepip",
    "turtledemo",
    "tkinter",
    "lib2to3",
    "site-packages",
    "__pycache__",
}


@pytest.fixture(scope="session")
def python() -> tuple[str, Path]:
    """Minor version and path of a Python other than the one that runs the tests."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    for minor in CANDIDATES:
        interpreter = interpreters().get(minor)
        # A Python in /usr cannot be hidden, and it shares its folders with other programs.
        if interpreter is not None and minor != own and not interpreter.resolve().is_relative_to("/usr"):
            return minor, interpreter.resolve()
    pytest.skip(f"this machine has no Python {', '.join(CANDIDATES)} in its own folder")


@pytest.fixture(scope="session")
def archive(python: tuple[str, Path]) -> bytes:
    """That Python, packed like the `install_only` archives of python-build-standalone: all below `python/`."""
    return gzip.compress(pack_python(python[1], "python"), compresslevel=1)


def pack_python(executable: Path, root: str) -> bytes:
    """A tar archive with a Python below the folder `root`, without what environments do not need."""
    folder, (major, minor_number, _) = executable.parents[1], read_version(executable)
    minor = f"{major}.{minor_number}"
    library = f"lib/python{minor}"

    def select(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        parts = Path(entry.name).parts
        static = entry.name.endswith(".a") or "config-3" in entry.name
        return None if static or any(part in LEFT_OUT for part in parts) else entry

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(executable, f"{root}/bin/python{minor}", recursive=False)
        link = tarfile.TarInfo(f"{root}/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, f"python{minor}"
        tar.addfile(link)
        tar.add(folder / library, f"{root}/{library}", filter=select)
        site = tarfile.TarInfo(f"{root}/{library}/site-packages")
        site.type, site.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(site)
        for shared in (folder / "lib").glob(f"libpython{minor}*.so*"):
            tar.add(shared, f"{root}/lib/{shared.name}", recursive=False)
    return buffer.getvalue()


@pytest.fixture
def mirror(
    machine: UserMachine, index: Index, python: tuple[str, Path], archive: bytes, uv_cache: Path
) -> Iterator[Index]:
    """A mirror with that Python, and a machine that is configured for it and does not find the Python otherwise."""
    for path in wheelhouse(uv_cache.parent, python[1]).glob("*.whl"):
        index.add(path.name, path.read_bytes())
    machine.environ |= {
        "PYENV_ROOT": "/nonexistent",
        "UV_PYTHON_DOWNLOADS_JSON_URL": offer_python(index, python[1], "python.tar.gz", archive),
    }
    machine.profile.write_text(f'python: "{python[0]}"\n{TINY}')
    yield index


def offer_python(index: Index, executable: Path, file: str, archive: bytes) -> str:
    """Put an archive of a Python on a server; returns the URL of a list for uv that names it."""
    major, minor, patch = read_version(executable)
    entry = {
        "name": "cpython",
        "arch": {"family": platform.machine(), "variant": None},
        "os": "linux",
        "libc": "gnu",
        "major": major,
        "minor": minor,
        "patch": patch,
        "prerelease": "",
        "url": f"{index.site}/pythons/{file}",
        "sha256": hashlib.sha256(archive).hexdigest(),
        "variant": None,
        "build": "20240101",
    }
    name = f"cpython-{major}.{minor}.{patch}-linux-{platform.machine()}-gnu"
    index.extra_files[f"/pythons/{file}"] = archive
    index.extra_files["/pythons/list.json"] = json.dumps({name: entry}).encode()
    return f"{index.site}/pythons/list.json"


def read_version(python: Path) -> tuple[int, int, int]:
    """The version of a Python."""
    command = [str(python), "-I", "-c", "import sys; print(*sys.version_info[:3])"]
    major, minor, patch = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(major), int(minor), int(patch)
