"""Broken packages and interpreters that do not start: built, diagnosed and fixed for real."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.doctor.recipe import Recipe, check_recipe, mark_slow, rewrite, site_packages

pytestmark = [pytest.mark.network, pytest.mark.slow]

#: Small wheels of one version each, so that the cache serves all recipes.
IDNA, MARKUP, CERTIFI = "idna==3.10", "markupsafe==2.1.5", "certifi==2024.8.30"


def in_packages(act: Callable[[Path], None]) -> Callable[[Path], None]:
    """Damage that is done in the folder of packages."""
    return lambda prefix: act(site_packages(prefix))


def cut_library(packages: Path) -> None:
    """Leave the first two blocks of a shared object, as a full disk does. (Half of it is all code: it would load.)"""
    library = next(packages.glob("markupsafe/_speedups.*.so"))
    rewrite(library, library.read_bytes()[:8192])


def cut_module(packages: Path) -> None:
    path = packages / "idna" / "core.py"
    rewrite(path, path.read_bytes()[:4096])


def empty_module(packages: Path) -> None:
    rewrite(packages / "idna" / "core.py", b"")


def half_removed(packages: Path) -> None:
    """What pip leaves when it is stopped: its first step is to rename."""
    (packages / "idna").rename(packages / "~dna")
    (packages / "idna-3.10.dist-info").rename(packages / "~dna-3.10.dist-info")


def half_upgraded(packages: Path) -> None:
    """The new version's metadata beside the old, and one of the new modules."""
    new = packages / "idna-3.11.dist-info"
    new.mkdir()
    for name in ("RECORD", "WHEEL", "INSTALLER"):
        new.joinpath(name).write_text(packages.joinpath("idna-3.10.dist-info", name).read_text())
    old = packages.joinpath("idna-3.10.dist-info", "METADATA").read_text()
    new.joinpath("METADATA").write_text(old.replace("Version: 3.10", "Version: 3.11"))
    rewrite(packages / "idna" / "core.py", b"def encode")


def built_for(*options: str) -> Callable[[Path], None]:
    """A wheel for another interpreter in the folder, as `pip install --target --platform …` puts it there."""

    def act(prefix: Path) -> None:
        where = ("--python", str(prefix / "bin" / "python"), "--target", str(site_packages(prefix)))
        subprocess.run(
            [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", *where, *options, MARKUP],
            check=True,
            env={**os.environ, "UV_CACHE_DIR": str(CACHE[0])},
        )

    return act


#: uv's cache, as the session's fixture gives it; `damage` is called with the environment alone.
CACHE: list[Path] = []


def lost_base(prefix: Path) -> None:
    """The Python that the environment was made from is removed."""
    gone = prefix.parent / "removed" / "bin"
    program = prefix / "bin" / "python"
    program.unlink()
    program.symlink_to(gone / "python3.11")
    config = prefix / "pyvenv.cfg"
    rewrite(config, config.read_bytes().replace(b"home = ", b"home = " + bytes(gone) + b" # was "))


def no_pyvenv(prefix: Path) -> None:
    (prefix / "pyvenv.cfg").unlink()


RECIPES = [
    Recipe(
        name="a shared object cut off",
        code="CE504",
        statement="import markupsafe._speedups",
        install=(MARKUP,),
        damage=in_packages(cut_library),  # the process dies by SIGBUS, without a word
        evidence=("truncated", "_speedups", "bytes instead of"),
    ),
    Recipe(
        name="a module cut off",
        code="CE504",
        statement="import idna",
        install=(IDNA,),
        damage=in_packages(cut_module),
        fails_with="idna/core.py",
        evidence=("idna/core.py is truncated",),
    ),
    Recipe(
        name="an empty module",
        code="CE504",
        statement="import idna",
        install=(IDNA,),
        damage=in_packages(empty_module),
        fails_with="ImportError",
        evidence=("idna/core.py is empty",),
    ),
    Recipe(
        name="a module that is gone",
        code="CE503",
        statement="import idna",
        install=(IDNA,),
        damage=in_packages(lambda packages: (packages / "idna" / "core.py").unlink()),
        fails_with="No module named 'idna.core'",
        evidence=("RECORD lists idna/core.py",),
    ),
    Recipe(
        name="metadata without its files",
        code="CE503",
        statement="import idna",
        install=(IDNA,),
        damage=in_packages(lambda packages: shutil.rmtree(packages / "idna")),
        fails_with="No module named 'idna'",
        evidence=("idna 3.10",),
    ),
    Recipe(
        name="a data file that the package lives on",
        code="CE503",
        statement="import certifi; open(certifi.where())",
        install=(CERTIFI,),
        damage=in_packages(lambda packages: (packages / "certifi" / "cacert.pem").unlink()),
        fails_with="FileNotFoundError",
        evidence=("certifi/cacert.pem",),
    ),
    Recipe(
        name="a wheel for another Python",
        code="CE505",
        statement="import markupsafe._speedups",
        install=(),
        damage=built_for("--python-version", "3.10"),
        fails_with="No module named 'markupsafe._speedups'",
        evidence=("cpython-310-x86_64-linux-gnu", "this Python loads cpython-311"),
    ),
    Recipe(
        name="a wheel for another processor",
        code="CE505",
        statement="import markupsafe._speedups",
        install=(),
        damage=built_for("--python-version", "3.11", "--python-platform", "aarch64-unknown-linux-gnu"),
        fails_with="No module named 'markupsafe._speedups'",
        evidence=("cpython-311-aarch64-linux-gnu", "aarch64"),
    ),
    Recipe(
        name="half-written metadata",
        code="CE506",
        statement="from importlib.metadata import version; version('idna').split('.')",
        install=(IDNA,),
        damage=in_packages(lambda packages: (packages / "idna-3.10.dist-info" / "METADATA").unlink()),
        evidence=("has no METADATA",),
    ),
    Recipe(
        name="no RECORD",
        code="CE507",
        statement="import subprocess, sys; "
        "subprocess.run([sys.executable, '-m', 'pip', 'uninstall', '-q', '-y', 'idna'], check=True)",
        install=(IDNA, "pip==24.2"),
        damage=in_packages(lambda packages: (packages / "idna-3.10.dist-info" / "RECORD").unlink()),
        fails_with="idna",
        evidence=("has no RECORD",),
    ),
    Recipe(
        name="an upgrade that broke off",
        code="CE508",
        statement="import idna",
        install=(IDNA,),
        damage=in_packages(half_upgraded),
        fails_with="SyntaxError",
        evidence=("3.10 and 3.11",),
    ),
    Recipe(
        name="a removal that broke off",
        code="CE509",
        statement="import idna",
        install=(IDNA,),
        damage=in_packages(half_removed),
        fails_with="No module named 'idna'",
        evidence=("idna 3.10", "~dna"),
    ),
    Recipe(
        name="the base Python is gone",
        code="CE501",
        statement="import idna",
        install=(IDNA,),
        damage=lost_base,
        evidence=("removed/bin/python3.11", "pyvenv.cfg says"),
    ),
    Recipe(
        name="pyvenv.cfg is gone",
        code="CE502",
        statement="import text_unidecode",  # nothing that a base has of itself
        install=("text-unidecode==1.3",),
        damage=no_pyvenv,
        fails_with="No module named 'text_unidecode'",
        evidence=("pyvenv.cfg does not exist",),
    ),
    Recipe(
        name="a .pth file that no Python can read",
        code="CE501",
        statement="import idna",
        install=(IDNA,),
        damage=in_packages(lambda packages: rewrite(packages / "local.pth", b"\xff\xfe/data\n")),
        fails_with="UnicodeDecodeError",
        evidence=("local.pth alone stops it",),
    ),
    Recipe(
        name="a sitecustomize that ends every process",
        code="CE501",
        statement="import idna",
        install=(IDNA,),
        damage=in_packages(
            lambda packages: rewrite(packages / "sitecustomize.py", b"raise SystemExit('no licence')\n")
        ),
        fails_with="no licence",
        evidence=("sitecustomize.py alone stops it",),
    ),
    Recipe(
        name="a .pth file whose package was removed",
        code="CE510",
        statement="import subprocess, sys; "
        "assert not subprocess.run([sys.executable, '-c', ''], stderr=subprocess.PIPE).stderr, 'noise'",
        install=(IDNA,),
        damage=in_packages(lambda packages: rewrite(packages / "old-hook.pth", b"import old_hook\n")),
        fails_with="noise",
        evidence=("line 1 of", "No module named 'old_hook'"),
    ),
]


#: What the default suite has time for; the others are tried where the large wheels are.
QUICK = {
    "a wheel for another Python",
    "a shared object cut off",
    "a module that is gone",
    "half-written metadata",
    "a removal that broke off",
    "the base Python is gone",
    "pyvenv.cfg is gone",
    "a .pth file that no Python can read",
    "a .pth file whose package was removed",
}


@pytest.mark.parametrize("recipe", mark_slow(RECIPES, QUICK))
def test_doctor_finds_and_fixes(recipe: Recipe, tmp_path: Path, uv_cache: Path) -> None:
    CACHE[:] = [uv_cache]
    check_recipe(recipe, tmp_path, uv_cache)
