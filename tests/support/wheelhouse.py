"""The wheels a plain kernel is made of, downloaded once, so that a test's index can serve every byte itself."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

#: Bounds that keep the house the same for months, and open enough for every Python that the tests use.
KERNEL = ("ipykernel>=6.29,<7", "pip>=24,<27")


def wheelhouse(cache: Path, python: Path) -> Path:
    """A folder with the wheels of a plain kernel for a Python; filled with pip where it is not there yet.

    Args:
        cache: kept between runs.
        python: an interpreter.
    """
    key = hashlib.sha256(" ".join((*KERNEL, _tag(python))).encode()).hexdigest()[:12]
    folder = cache / "wheelhouse" / f"{_tag(python)}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".filling-") as scratch:
                _download(python, Path(scratch))
                (Path(scratch) / "wheels").rename(folder)
    return folder


def _download(python: Path, scratch: Path) -> None:
    """Download into `wheels` below the scratch folder, with the pip that virtualenv carries."""
    venv, wheels = scratch / "venv", scratch / "wheels"
    seed = [sys.executable, "-m", "virtualenv", "--quiet", "--no-periodic-update", "--python", str(python)]
    _run([*seed, "--app-data", str(scratch / "app-data"), str(venv)])
    download = [str(venv / "bin" / "python"), "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    _run([*download, "--dest", str(wheels), *KERNEL])
    shutil.rmtree(venv)


@functools.cache
def _tag(python: Path) -> str:
    """Such as "cpython-311-x86_64-linux-gnu"."""
    code = "import sysconfig; print(sysconfig.get_config_var('SOABI'))"
    return _run([str(python), "-I", "-c", code]).strip()


def _run(argv: list[str]) -> str:
    done = subprocess.run(
        argv, capture_output=True, text=True, env=dict(os.environ), timeout=300, check=False
    )
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout}\n{done.stderr}"
    return done.stdout
