"""Virtual environments for tests of attaching: Colab's Jupyter stack, the newest one, and one to attach to.

Created once in the tests' cache folder, from the package index.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from uv import find_uv_bin

from support.pythons import interpreters

REPOSITORY = Path(__file__).resolve().parents[3]

_COLAB = (
    *("ipykernel==6.17.1", "ipython==7.34.0", "jupyter_client==7.4.9", "pyzmq==26.2.0", "tornado==6.5"),
    *("traitlets==5.7.1", "ipywidgets==7.7.1", "setuptools<81", "pexpect", "filelock", "platformdirs"),
)
_TODAY = ("ipykernel==7.4.0", "ipython>=8.30", "jupyter_client==8.10.0", "ipywidgets==8.1.9", "pexpect")
_ENVIRONMENT = (*_COLAB, "tqdm==4.67.1")


@dataclass(frozen=True)
class Stack:
    """A venv to create.

    Args:
        name: its folder's name.
        pythons: minor versions that it may have, the preferred one first.
        packages: requirements to install.
    """

    name: str
    pythons: tuple[str, ...]
    packages: tuple[str, ...]


COLAB = Stack("colab", ("3.12", "3.11", "3.13"), _COLAB)
TODAY = Stack("today", ("3.13", "3.12", "3.11"), _TODAY)
# The environment's Python is older than the notebook's if the machine has one.
ENVIRONMENT = Stack("environment", ("3.10", "3.11", "3.12"), _ENVIRONMENT)


def stack_python(stack: Stack) -> Path:
    """The interpreter of a stack's venv, which is created if it does not exist."""
    available = interpreters()
    minor = next((minor for minor in stack.pythons if minor in available), None)
    base = available[minor] if minor else Path(sys.executable)
    recipe = json.dumps([stack.name, str(base), stack.packages])
    cache = Path(os.environ.get("COLABENV_TEST_CACHE") or REPOSITORY / ".cache")
    folder = cache / "attach" / f"{stack.name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    done = folder / "done"
    with FileLock(f"{folder}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _uv(cache, "venv", "--no-project", "--python", str(base), str(folder))
            _uv(cache, "pip", "install", "--python", str(folder / "bin/python"), "pip", *stack.packages)
            done.touch()
    return folder / "bin" / "python"


def _uv(cache: Path, *arguments: str) -> None:
    env = os.environ | {"UV_CACHE_DIR": str(cache / "uv")}
    done = subprocess.run(
        [find_uv_bin(), "--quiet", *arguments], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
