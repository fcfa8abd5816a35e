"""Recipes for broken environments from real wheels, and `check_recipe`, which tests that the doctor fixes them.

A recipe is data: what is installed, what breaks it, the statement that fails, and the expected finding. To add one,
append it to the list in the test file of its topic.
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
        code: of the expected finding.
        statement: Python that fails before the fix and passes after it.
        install: requirements, resolved together.
        then: requirements to install after that without their dependencies, in this order.
        remove: distributions to uninstall after that.
        targets: folders, relative to that of the environment, and uv's arguments to install packages into them
            without their dependencies, as `pip install --target` does.
        damage: called last, with the folder of the environment; see `rewrite`.
        python: CPython to use.
        fails_with: part of the failing statement's error.
        evidence: texts that must be in the finding.
        environ: variables of the session.
        files: files in the session's working directory: name to text.
        also: codes of further findings with the same cause.
        pass_error: whether the doctor gets the statement's error, for causes that no metadata shows.
        quick: whether the doctor tries no imports: for causes that metadata shows, with large packages.
    """

    name: str
    code: str
    statement: str
    install: tuple[str, ...]
    then: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    damage: Callable[[Path], None] | None = None
    python: str = "3.11"
    fails_with: str = ""
    evidence: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    pass_error: bool = False
    quick: bool = False


def rewrite(path: Path, data: bytes) -> None:
    """Replace a file. uv links files to its cache, so writing in place would damage the cache."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def site_packages(prefix: Path) -> Path:
    """The environment's folder of packages."""
    return next(prefix.glob("lib/python3.*/site-packages"))


class BrokenEnvironment:
    """An environment and the session that uses it.

    Args:
        recipe: how to build it.
        folder: an empty folder for it.
        cache: of uv.
        bases: a folder for environments that several recipes start from. Linking their files takes a second;
            installing TensorFlow takes ten.
    """

    def __init__(self, recipe: Recipe, folder: Path, cache: Path, bases: Path | None = None) -> None:
        self.recipe = recipe
        self.bases = bases
        self.prefix = folder / "env"
        self.cwd = folder / "session"
        home = folder / "home"
        for directory in (self.cwd, home):
            directory.mkdir(parents=True)
        self.python = self.prefix / "bin" / "python"
        self.environ = {
            **remove_leaks(os.environ),  # keeps the settings of the package index
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
        for requirement in recipe.then:
            self.install_without_dependencies(requirement)
        if recipe.remove:
            self._uv("pip", "uninstall", *where, *recipe.remove)
        for name, text in recipe.files.items():
            path = self.cwd / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for target, arguments in recipe.targets.items():
            self._uv(
                "pip",
                "install",
                "--no-deps",
                *where,
                "--target",
                str(self.prefix.parent / target),
                *arguments,
            )
        if recipe.damage is not None:
            recipe.damage(self.prefix)

    def install_without_dependencies(self, requirement: str) -> None:
        """Install one requirement, whatever else is installed."""
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
            ["/usr/bin/env", str(self.python), "-c", self.recipe.statement],  # its Python may not even start
            env=self.environ,
            cwd=self.cwd,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def doctor(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run the real command on it; returns its exit code and its JSON."""
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

    def change_variables(self, commands: list[str]) -> bool:
        """Apply the `unset` and `export` commands that the user has to run; returns whether there are any."""
        words = [shlex.split(command) for command in commands if command.startswith(("unset ", "export "))]
        for verb, *arguments in words:
            for argument in arguments:
                name, _, value = argument.partition("=")
                self.environ.pop(name, None)
                if verb == "export":
                    self.environ[name] = value
        return bool(words)

    def remove(self) -> None:
        """Free the disk space."""
        shutil.rmtree(self.prefix)


def check_recipe(recipe: Recipe, folder: Path, cache: Path, bases: Path | None = None) -> None:
    """Check a recipe: its statement fails, the doctor finds and fixes the cause, then the statement works."""
    broken = BrokenEnvironment(recipe, folder, cache, bases)
    before = broken.try_statement()
    assert before.returncode != 0, f"the recipe does not break: {recipe.statement}"
    assert recipe.fails_with in before.stderr, before.stderr[-2000:]

    options = ["--quick"] if recipe.quick else []
    if recipe.pass_error:
        (folder / "error.txt").write_text(before.stderr)
        options += ["--traceback", str(folder / "error.txt")]
    code, result = broken.doctor(*options)
    assert code == 1, result
    codes = {finding["code"] for finding in result["findings"]}
    assert recipe.code in codes, result["findings"]
    assert codes <= {recipe.code, *recipe.also}, result["findings"]
    findings = [finding for finding in result["findings"] if finding["code"] == recipe.code]
    shown = json.dumps(findings, ensure_ascii=False)
    for text in recipe.evidence:
        assert text in shown, shown

    code, result = broken.doctor("--fix", "--yes", *options)
    assert "commands" in result, result
    if broken.change_variables(result["commands"]):
        code, result = broken.doctor()
    after = broken.try_statement()
    assert after.returncode == 0, (result, after.stderr[-2000:])
    assert code == 0, result
    broken.remove()


def mark_slow(recipes: Sequence[Recipe], quick: Set[str]) -> list[Any]:
    """Recipes as parameters of a test; those that are not `quick` are marked `wheels`."""
    assert quick <= {recipe.name for recipe in recipes}
    return [
        pytest.param(recipe, id=recipe.name, marks=() if recipe.name in quick else pytest.mark.wheels)
        for recipe in recipes
    ]
