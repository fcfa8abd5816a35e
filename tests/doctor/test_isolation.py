"""What gets in from outside of an environment, each made, diagnosed and mended for real."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from doctor.recipe import Recipe, check, rewrite

pytestmark = [pytest.mark.network, pytest.mark.slow]


def installed_at(folder: str, *requirements: str) -> Callable[[Path], None]:
    """Packages in a folder beside the environment, as another installer left them there."""

    def act(prefix: Path) -> None:
        target = prefix.parent / folder
        arguments = ("pip", "install", "--quiet", "--no-deps", "--python", str(prefix / "bin" / "python"))
        subprocess.run(
            [sys.executable, "-m", "uv", *arguments, "--target", str(target), *requirements],
            check=True,
            env={**os.environ, "UV_CACHE_DIR": str(CACHE[0])},
        )

    return act


def open_to_the_base(prefix: Path) -> None:
    """What `python -m venv --system-site-packages` makes, with an old httpcore and the rest in the person's home."""
    home = "home/.local/lib/python3.11/site-packages"
    installed_at(
        home, "httpcore==0.9.1", "anyio", "certifi", "idna", "sniffio", "h11==0.9.0", "typing_extensions"
    )(prefix)
    config = prefix / "pyvenv.cfg"
    rewrite(config, config.read_bytes().replace(b"= false", b"= true"))


#: uv's cache, as the session's fixture gives it; `damage` is called with the environment alone.
CACHE: list[Path] = []

RECIPES = [
    Recipe(
        name="an old package on PYTHONPATH",
        code="CE301",
        statement="import idna; idna.core.check_label('a'); assert idna.__version__ == '3.10', idna.__version__",
        install=("idna==3.10",),
        damage=installed_at("old", "idna==2.8"),
        environ={"PYTHONPATH": "../old"},
        fails_with="2.8",
        evidence=("PYTHONPATH=../old", "hides", "idna 2.8"),
    ),
    Recipe(
        name="an old package in ~/.local under an open environment",
        code="CE302",
        statement="import httpx; httpx.Client()",
        install=("httpx==0.27.2",),
        remove=("httpcore", "anyio", "certifi", "idna", "sniffio", "h11"),
        damage=open_to_the_base,
        fails_with="httpcore",
        evidence=("requires httpcore", "0.9.1 is in", ".local"),
    ),
    Recipe(
        name="random.py in the working directory",
        code="CE304",
        statement="import tempfile; tempfile.mkdtemp()",
        install=(),
        files={"random.py": "print('my dice')\n"},
        fails_with="random",
        evidence=("random.py", "lib/python3.11/random.py"),
    ),
    Recipe(
        name="a folder named like a package",
        code="CE304",
        statement="import idna; idna.encode('a')",
        install=("idna==3.10",),
        files={"idna/__init__.py": "", "idna/notes.txt": ""},
        fails_with="has no attribute 'encode'",
        evidence=("idna/__init__.py",),
    ),
    Recipe(
        name="MPLBACKEND of Colab",
        code="CE308",
        statement="import matplotlib.pyplot as plt; plt.figure()",
        install=("matplotlib==3.9.2",),
        environ={"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        fails_with="matplotlib_inline",
        evidence=("MPLBACKEND=module://matplotlib_inline.backend_inline",),
    ),
    Recipe(
        name="UV_SYSTEM_PYTHON of Colab",
        code="CE309",
        statement="import subprocess; "
        "assert 'idna' in subprocess.check_output(['uv', 'pip', 'list'], text=True), 'the packages of another Python'",
        install=("idna==3.10", "uv"),
        environ={"UV_SYSTEM_PYTHON": "true"},
        fails_with="the packages of another Python",
        evidence=("UV_SYSTEM_PYTHON=true",),
    ),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_is_found_and_mended(recipe: Recipe, tmp_path: Path, uv_cache: Path) -> None:
    CACHE[:] = [uv_cache]
    check(recipe, tmp_path, uv_cache)
