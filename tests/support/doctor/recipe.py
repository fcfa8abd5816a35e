"""A recipe builds a broken environment from real wheels; `check` sees it diagnosed and mended.

A recipe is data: what is installed, what breaks it, the statement that fails, and the finding that must be there. To
add one, append it to the list in the test file of its family.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from colabenv.embedded.environ import remove_leaks
from support.pythons import interpreters


@dataclass(frozen=True)
class Recipe:
    """One broken environment.

    Attributes:
        name: for the test's id.
        code: of the finding that must be found.
        statement: Python that fails before and passes after.
        install: requirements, resolved together.
        then: requirements that are installed after that without looking at what the others need, in this order.
        remove: distributions that are uninstalled after that.
        damage: does the rest, given the folder of the environment; see `rewrite`.
        python: CPython to use.
        fails_with: part of what the failing statement says.
        evidence: texts that must be in the finding.
        environ: variables of the session.
        files: files in the session's working directory: name to text.
        also: codes of further findings that belong to the same breakage.
        told: whether the doctor is handed what the statement says, for causes that no metadata shows.
        quick: whether the doctor tries no imports of its own: for causes that metadata shows, under large packages.
    """

    name: str
    code: str
    statement: str
    install: tuple[str, ...]
    then: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    damage: Callable[[Path], None] | None = None
    python: str = "3.11"
    fails_with: str = ""
    evidence: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    told: bool = False
    quick: bool = False


def rewrite(path: Path, data: bytes) -> None:
    """Give a file other content. uv links files to its cache, so writing in place would damage the cache."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def site_packages(prefix: Path) -> Path:
    """The environment's folder of packages."""
    return next(prefix.glob("lib/python3.*/site-packages"))


class Patient:
    """An environment and the session that uses it.

    Args:
        recipe: how it is built.
        folder: an empty folder for it.
        cache: of uv.
        bases: a folder for what recipes start from, to be shared by those that install the same; each is linked file
            by file, which takes a second where installing TensorFlow takes ten.
    """

    def __init__(self, recipe: Recipe, folder: Path, cache: Path, bases: Path | None = None) -> None:
        self.recipe = recipe
        self.bases = bases
        self.prefix = folder / "env"
        self.cwd = folder / "session"
        home = folder / "home"
        for made in (self.cwd, home):
            made.mkdir(parents=True)
        self.python = self.prefix / "bin" / "python"
        self.environ = {
            **remove_leaks(os.environ),  # where packages come from is the machine's
            "HOME": str(home),
            "PATH": f"{self.prefix / 'bin'}:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "COLABENV_HOME": str(folder / "colabenv"),
            "UV_CACHE_DIR": str(cache),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            **recipe.environ,
        }
        self._build()

    def _build(self) -> None:
        recipe = self.recipe
        where = ("--quiet", "--python", str(self.python))
        if self.bases is None:
            self._install(self.prefix)
        else:
            digest = hashlib.sha256(repr((recipe.python, recipe.install)).encode()).hexdigest()[:12]
            base = self.bases / digest
            if not base.exists():
                self._install(base)
            subprocess.run(["cp", "-al", base, self.prefix], check=True)
        for one in recipe.then:
            self.install_without_looking(one)
        if recipe.remove:
            self._uv("pip", "uninstall", *where, *recipe.remove)
        for name, text in recipe.files.items():
            path = self.cwd / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        if recipe.damage is not None:
            recipe.damage(self.prefix)

    def install_without_looking(self, requirement: str) -> None:
        """Install one thing as if nothing else were there."""
        self._uv("pip", "install", "--quiet", "--python", str(self.python), "--no-deps", requirement)

    def _install(self, prefix: Path) -> None:
        base = interpreters()[self.recipe.python]
        self._uv("venv", "--quiet", "--python", str(base), str(prefix))
        if self.recipe.install:
            self._uv("pip", "install", "--quiet", "--python", f"{prefix}/bin/python", *self.recipe.install)

    def _uv(self, *arguments: str) -> None:
        environ = {name: value for name, value in self.environ.items() if name not in self.recipe.environ}
        done = subprocess.run(
            [sys.executable, "-m", "uv", *arguments], env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def try_statement(self) -> subprocess.CompletedProcess[str]:
        """Run the recipe's statement as the session would."""
        return subprocess.run(
            ["/usr/bin/env", str(self.python), "-c", self.recipe.statement],  # it may not even start
            env=self.environ,
            cwd=self.cwd,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def doctor(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run the real command on it; its exit code and its JSON."""
        done = subprocess.run(
            [sys.executable, "-m", "colabenv", "doctor", "--python", self.python, "--json", *arguments],
            env=self.environ,
            cwd=self.cwd,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout)

    def obey(self, commands: list[str]) -> bool:
        """Do what the doctor leaves to the person: variables of the session. Whether there was any."""
        words = [shlex.split(command) for command in commands if command.startswith(("unset ", "export "))]
        for verb, *arguments in words:
            for one in arguments:
                name, _, value = one.partition("=")
                self.environ.pop(name, None)
                if verb == "export":
                    self.environ[name] = value
        return bool(words)

    def remove(self) -> None:
        """Free the disk."""
        shutil.rmtree(self.prefix)


def check(recipe: Recipe, folder: Path, cache: Path, bases: Path | None = None) -> None:
    """The whole life of a patient: it fails, it is diagnosed, it is mended, it works, nothing is wrong any more."""
    patient = Patient(recipe, folder, cache, bases)
    before = patient.try_statement()
    assert before.returncode != 0, f"the recipe does not break: {recipe.statement}"
    assert recipe.fails_with in before.stderr, before.stderr[-2000:]

    given = ["--quick"] if recipe.quick else []
    if recipe.told:
        (folder / "said.txt").write_text(before.stderr)
        given += ["--traceback", str(folder / "said.txt")]
    code, said = patient.doctor(*given)
    assert code == 1, said
    codes = {finding["code"] for finding in said["findings"]}
    assert recipe.code in codes, said["findings"]
    assert codes <= {recipe.code, *recipe.also}, said["findings"]
    found = [finding for finding in said["findings"] if finding["code"] == recipe.code]
    shown = json.dumps(found, ensure_ascii=False)
    for text in recipe.evidence:
        assert text in shown, shown

    code, said = patient.doctor("--fix", "--yes", *given)
    assert "commands" in said, said
    if patient.obey(said["commands"]):
        code, said = patient.doctor()
    after = patient.try_statement()
    assert after.returncode == 0, (said, after.stderr[-2000:])
    assert code == 0, said
    patient.remove()


def with_marks(recipes: Sequence[Recipe], quick: Set[str]) -> list[Any]:
    """Recipes as a test's parameters; those that the default suite has no time for are marked `wheels`."""
    assert quick <= {recipe.name for recipe in recipes}
    return [
        pytest.param(recipe, id=recipe.name, marks=() if recipe.name in quick else pytest.mark.wheels)
        for recipe in recipes
    ]
