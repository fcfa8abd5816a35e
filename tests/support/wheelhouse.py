"""The wheels of a plain kernel, downloaded once, so that the index of the tests can serve everything."""

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

#: Ranges that keep the versions stable and still support every Python that the tests use. The kernel's own constraints
#: allow them, so that `up` resolves once.
KERNEL = ("ipykernel>=6.29,<7", "ipython<9.16", "matplotlib-inline<0.2", "pip>=24,<27")


def wheelhouse(cache: Path, python: Path) -> Path:
    """Return a folder with the wheels of a plain kernel for a Python; downloads them with pip if it does not exist.

    Args:
        cache: a folder that is kept between runs.
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
    """Download the wheels to `wheels` in the scratch folder, with the pip that virtualenv contains."""
    venv, wheels = scratch / "venv", scratch / "wheels"
    seed = [sys.executable, "-m", "virtualenv", "--quiet", "--no-periodic-update", "--python", str(python)]
    _run([*seed, "--app-data", str(scratch / "app-data"), str(venv)])
    download = [str(venv / "bin" / "python"), "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    _run([*download, "--dest", str(wheels), *KERNEL])
    shutil.rmtree(venv)


@functools.cache
def _tag(python: Path) -> str:
    """The tag of a Python, such as "cpython-311-x86_64-linux-gnu"."""
    code = "import sysconfig; print(sysconfig.get_config_var('SOABI'))"
    return _run([str(python), "-I", "-c", code]).strip()


def _run(argv: list[str]) -> str:
    done = subprocess.run(
        argv, capture_output=True, text=True, env=dict(os.environ), timeout=300, check=False
    )
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout}\n{done.stderr}"
    return done.stdout
