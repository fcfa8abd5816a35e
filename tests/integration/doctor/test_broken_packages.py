"""The doctor diagnoses and fixes damaged packages and interpreters that do not start."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from support.doctor.recipe import Recipe, check_recipe, mark_slow, rewrite, site_packages

pytestmark = [pytest.mark.network, pytest.mark.slow]

#: Small wheels, each in one version, so that all recipes share uv's cache.
IDNA, MARKUP, CERTIFI = "idna==3.10", "markupsafe==2.1.5", "certifi==2024.8.30"
SITE_PACKAGES = "env/lib/python3.11/site-packages"
AARCH64 = ("--python-version", "3.11", "--python-platform", "aarch64-unknown-linux-gnu")


def in_packages(damage: Callable[[Path], None]) -> Callable[[Path], None]:
    """Return a damage that is applied to the site-packages folder."""
    return lambda prefix: damage(site_packages(prefix))


def truncate_library(packages: Path) -> None:
    """Truncate a shared object to two blocks, as a full disk does.

    Half of the file would still load, as it contains all of the code.
    """
    library = next(packages.glob("markupsafe/_speedups.*.so"))
    rewrite(library, library.read_bytes()[:8192])


def truncate_module(packages: Path) -> None:
    path = packages / "idna" / "core.py"
    rewrite(path, path.read_bytes()[:4096])


def empty_module(packages: Path) -> None:
    rewrite(packages / "idna" / "core.py", b"")


def interrupt_removal(packages: Path) -> None:
    """Leave what an interrupted pip uninstall leaves: its first step is to rename."""
    (packages / "idna").rename(packages / "~dna")
    (packages / "idna-3.10.dist-info").rename(packages / "~dna-3.10.dist-info")


def interrupt_upgrade(packages: Path) -> None:
    """Add the metadata of a new version beside the old one, and one partly written module."""
    new = packages / "idna-3.11.dist-info"
    new.mkdir()
    for name in ("RECORD", "WHEEL", "INSTALLER"):
        new.joinpath(name).write_text(packages.joinpath("idna-3.10.dist-info", name).read_text())
    old = packages.joinpath("idna-3.10.dist-info", "METADATA").read_text()
    new.joinpath("METADATA").write_text(old.replace("Version: 3.10", "Version: 3.11"))
    rewrite(packages / "idna" / "core.py", b"def encode")


def remove_base_python(prefix: Path) -> None:
    """Link the environment to a base Python that does not exist, as if it had been removed."""
    removed = prefix.parent / "removed" / "bin"
    program = prefix / "bin" / "python"
    program.unlink()
    program.symlink_to(removed / "python3.11")
    config = prefix / "pyvenv.cfg"
    rewrite(config, config.read_bytes().replace(b"home = ", b"home = " + bytes(removed) + b" # was "))


def remove_pyvenv(prefix: Path) -> None:
    (prefix / "pyvenv.cfg").unlink()


RECIPES = [
    Recipe(
        name="truncated shared object",
        code="CE504",
        statement="import markupsafe._speedups",
        install=(MARKUP,),
        damage=in_packages(truncate_library),  # SIGBUS kills the process, without any output
        evidence=("truncated", "_speedups", "bytes instead of"),
    ),
    Recipe(
        name="truncated module",
        code="CE504",
        statement="import idna",
        install=(IDNA,),
        damage=in_packages(truncate_module),
        fails_with="idna/core.py",
        evidence=("idna/core.py is truncated",),
    ),
    Recipe(
        name="empty module",
        code="CE504",
        statement="import idna",
        install=(IDNA,),
        damage=in_packages(empty_module),
        fails_with="ImportError",
        evidence=("idna/core.py is empty",),
    ),
    Recipe(
        name="missing module",
        code="CE503",
        statement="import idna",
        install=(IDNA,),
        damage=in_packages(lambda packages: (packages / "idna" / "core.py").unlink()),
        fails_with="No module named 'idna.core'",
        evidence=("RECORD lists idna/core.py",),
    ),
    Recipe(
        name="missing package with metadata",
        code="CE503",
        statement="import idna",
        install=(IDNA,),
        damage=in_packages(lambda packages: shutil.rmtree(packages / "idna")),
        fails_with="No module named 'idna'",
        evidence=("idna 3.10",),
    ),
    Recipe(
        name="missing data file",
        code="CE503",
        statement="import certifi; open(certifi.where())",
        install=(CERTIFI,),
        damage=in_packages(lambda packages: (packages / "certifi" / "cacert.pem").unlink()),
        fails_with="FileNotFoundError",
        evidence=("certifi/cacert.pem",),
    ),
    Recipe(
        name="wheel for another Python",
        code="CE505",
        statement="import markupsafe._speedups",
        install=(),
        targets={SITE_PACKAGES: ("--python-version", "3.10", MARKUP)},
        fails_with="No module named 'markupsafe._speedups'",
        evidence=("cpython-310-x86_64-linux-gnu", "this Python loads cpython-311"),
    ),
    Recipe(
        name="wheel for another processor",
        code="CE505",
        statement="import markupsafe._speedups",
        install=(),
        targets={SITE_PACKAGES: (*AARCH64, MARKUP)},
        fails_with="No module named 'markupsafe._speedups'",
        evidence=("cpython-311-aarch64-linux-gnu", "aarch64"),
    ),
    Recipe(
        name="missing METADATA",
        code="CE506",
        statement="from importlib.metadata import version; version('idna').split('.')",
        install=(IDNA,),
        damage=in_packages(lambda packages: (packages / "idna-3.10.dist-info" / "METADATA").unlink()),
        evidence=("has no METADATA",),
    ),
    Recipe(
        name="missing RECORD",
        code="CE507",
        statement="import subprocess, sys; "
        "subprocess.run([sys.executable, '-m', 'pip', 'uninstall', '-q', '-y', 'idna'], check=True)",
        install=(IDNA, "pip==24.2"),
        damage=in_packages(lambda packages: (packages / "idna-3.10.dist-info" / "RECORD").unlink()),
        fails_with="idna",
        evidence=("has no RECORD",),
    ),
    Recipe(
        name="interrupted upgrade",
        code="CE508",
        statement="import idna",
        install=(IDNA,),
        damage=in_packages(interrupt_upgrade),
        fails_with="SyntaxError",
        evidence=("3.10 and 3.11",),
    ),
    Recipe(
        name="interrupted removal",
        code="CE509",
        statement="import idna",
        install=(IDNA,),
        damage=in_packages(interrupt_removal),
        fails_with="No module named 'idna'",
        evidence=("idna 3.10", "~dna"),
    ),
    Recipe(
        name="missing base Python",
        code="CE501",
        statement="import idna",
        install=(IDNA,),
        damage=remove_base_python,
        evidence=("removed/bin/python3.11", "pyvenv.cfg says"),
    ),
    Recipe(
        name="missing pyvenv.cfg",
        code="CE502",
        statement="import text_unidecode",  # a module that no base Python has
        install=("text-unidecode==1.3",),
        damage=remove_pyvenv,
        fails_with="No module named 'text_unidecode'",
        evidence=("pyvenv.cfg does not exist",),
    ),
    Recipe(
        name="unreadable .pth file",
        code="CE501",
        statement="import idna",
        install=(IDNA,),
        damage=in_packages(lambda packages: rewrite(packages / "local.pth", b"\xff\xfe/data\n")),
        fails_with="UnicodeDecodeError",
        evidence=("local.pth alone stops it",),
    ),
    Recipe(
        name="sitecustomize that exits",
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
        name=".pth file of a removed package",
        code="CE510",
        statement="import subprocess, sys; "
        "assert not subprocess.run([sys.executable, '-c', ''], stderr=subprocess.PIPE).stderr, 'noise'",
        install=(IDNA,),
        damage=in_packages(lambda packages: rewrite(packages / "old-hook.pth", b"import old_hook\n")),
        fails_with="noise",
        evidence=("line 1 of", "No module named 'old_hook'"),
    ),
]


#: The recipes of the default suite; the others run with `--extended`.
QUICK = {
    "wheel for another Python",
    "truncated shared object",
    "missing module",
    "missing METADATA",
    "interrupted removal",
    "missing base Python",
    "missing pyvenv.cfg",
    "unreadable .pth file",
    ".pth file of a removed package",
}


@pytest.mark.parametrize("recipe", mark_slow(RECIPES, QUICK))
def test_doctor_finds_and_fixes(recipe: Recipe, tmp_path: Path, uv_cache: Path) -> None:
    check_recipe(recipe, tmp_path, uv_cache)
