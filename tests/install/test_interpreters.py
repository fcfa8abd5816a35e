"""A Python that the machine lacks: uv downloads one from a mirror, here on loopback."""

from __future__ import annotations

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

from bench import TINY, Bench
from index_server import Fault, Index
from pythons import interpreters
from wheelhouse import wheelhouse

WANTED = ["3.12", "3.13", "3.10", "3.9"]
#: Parts of an installation that no environment needs.
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


@pytest.fixture(scope="module")
def python() -> tuple[str, Path]:
    """Minor version and path of a Python other than that of the tests."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    for minor in WANTED:
        found = interpreters().get(minor)
        # One in /usr cannot be hidden, nor is it laid out as a tree of its own.
        if found is not None and minor != own and not found.resolve().is_relative_to("/usr"):
            return minor, found.resolve()
    pytest.skip(f"no Python of {', '.join(WANTED)} in a folder of its own on this machine")


@pytest.fixture(scope="module")
def archive(python: tuple[str, Path]) -> bytes:
    """That Python packed as python-build-standalone packs its `install_only` archives: all below `python/`."""
    minor, executable = python
    root, library = executable.parents[1], f"lib/python{python[0]}"

    def wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        parts = Path(entry.name).parts
        static = entry.name.endswith(".a") or "config-3" in entry.name
        return None if static or any(part in LEFT_OUT for part in parts) else entry

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        tar.add(executable, f"python/bin/python{minor}", recursive=False)
        link = tarfile.TarInfo("python/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, f"python{minor}"
        tar.addfile(link)
        tar.add(root / library, f"python/{library}", filter=wanted)
        folder = tarfile.TarInfo(f"python/{library}/site-packages")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for shared in (root / "lib").glob(f"libpython{minor}*.so*"):
            tar.add(shared, f"python/lib/{shared.name}", recursive=False)
    return buffer.getvalue()


@pytest.fixture
def mirror(
    bench: Bench, index: Index, python: tuple[str, Path], archive: bytes, uv_cache: Path
) -> Iterator[Index]:
    """A machine that shows no such Python, and a mirror that has one."""
    major, minor, patch = _version(python[1])
    entry = {
        "name": "cpython",
        "arch": {"family": platform.machine(), "variant": None},
        "os": "linux",
        "libc": "gnu",
        "major": major,
        "minor": minor,
        "patch": patch,
        "prerelease": "",
        "url": f"{index.site}/pythons/python.tar.gz",
        "sha256": hashlib.sha256(archive).hexdigest(),
        "variant": None,
        "build": "20240101",
    }
    name = f"cpython-{major}.{minor}.{patch}-linux-{platform.machine()}-gnu"
    index.other["/pythons/python.tar.gz"] = archive
    index.other["/pythons/list.json"] = json.dumps({name: entry}).encode()
    for path in wheelhouse(uv_cache.parent, python[1]).glob("*.whl"):
        index.add(path.name, path.read_bytes())
    bench.environ |= {
        "PYENV_ROOT": "/nonexistent",
        "UV_PYTHON_DOWNLOADS_JSON_URL": f"{index.site}/pythons/list.json",
    }
    bench.profile.write_text(f'python: "{python[0]}"\n{TINY}')
    yield index


def _version(python: Path) -> tuple[int, int, int]:
    """Of a Python."""
    asked = [str(python), "-I", "-c", "import sys; print(*sys.version_info[:3])"]
    major, minor, patch = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    return int(major), int(minor), int(patch)


def test_it_is_downloaded_and_works(bench: Bench, mirror: Index, python: tuple[str, Path]) -> None:
    text = bench.up().expect(0).text
    pythons = bench.store / "pythons"
    assert f"from {pythons}" in text
    assert "(downloaded by uv)" in text
    version, base = bench.cell("import sys; print('%d.%d' % sys.version_info[:2], sys.base_prefix)").split()
    assert version == python[0]
    assert Path(base).resolve().is_relative_to(pythons)
    # The next environment takes the one that is there.
    bench.run("down", "tiny").expect(0)
    mirror.asked.clear()
    del mirror.other["/pythons/python.tar.gz"]
    bench.up().expect(0)
    assert not [line for line in mirror.asked if "pythons" in line]


def test_the_mirror_is_gone(bench: Bench, mirror: Index) -> None:
    mirror.stop()
    text = bench.up().expect(3).text
    assert "the place to download it from could not be reached" in text
    assert "UV_PYTHON_INSTALL_MIRROR" in text
    assert bench.environments() == []


def test_the_download_is_cut(bench: Bench, mirror: Index) -> None:
    mirror.faults["python.tar.gz"] = Fault(drop_after=100_000)
    assert "could not be reached" in bench.up().expect(3).text
    assert bench.environments() == []


def test_the_download_is_damaged(bench: Bench, mirror: Index) -> None:
    mirror.faults["python.tar.gz"] = Fault(flip=True)
    assert "that was downloaded is damaged" in bench.up().expect(3).text
    assert bench.environments() == []


def test_nobody_has_that_version(bench: Bench, mirror: Index, python: tuple[str, Path]) -> None:
    bench.profile.write_text(bench.profile.read_text().replace(f'"{python[0]}"', f'"{python[0]}.99"'))
    text = bench.up().expect(3).text
    assert f"Python {python[0]}.99 is not on this machine, and uv could not download it" in text


def test_pip_cannot_download_one(bench: Bench, mirror: Index) -> None:
    text = bench.up(COLABENV_INSTALLER="pip").expect(3).text
    assert "COLABENV_INSTALLER" in text
