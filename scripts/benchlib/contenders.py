"""The contenders. Each can remove its environment, and its downloads if wanted, and run up to the first prediction."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from uv import find_uv_bin

from benchlib.kernels import run_first_cell, write_kernelspec
from benchlib.sandbox import Sandbox, read_child_cpu_seconds, run_timed, set_aside
from colabenv.environment.installers.index_settings import pip_variables, uv_variables


@dataclass(frozen=True)
class Run:
    """Measurements of one run up to the first prediction."""

    steps: dict[str, float]  #: seconds by step
    cpu: float  #: seconds of processor time, all cores together
    #: `seconds` and `proof_seconds` of `colabenv up --json`; empty for others.
    inside: dict[str, dict[str, float]] = field(default_factory=dict)


class Contender(Protocol):
    """An installation method that is measured."""

    title: str

    def forget(self, *, downloads: bool) -> None:
        """Remove the environment, and with `downloads` the cache too."""
        ...

    def run(self) -> Run:
        """Build an environment and predict in its kernel."""
        ...


@dataclass
class ColabenvUp:
    """`colabenv up`, then a cell in the kernel that it registered."""

    sandbox: Sandbox
    folder: Path  #: its own folder in the sandbox
    profile: str  #: text of the profile
    name: str  #: of the profile
    lock: tuple[str, str] | None  #: file name and text of the lock beside the profile
    title: str
    variant: str = "cpu"
    options: tuple[str, ...] = ()  #: further options of `up`

    def __post_init__(self) -> None:
        self.home = self.folder / "colabenv"
        self.jupyter = self.folder / "jupyter"
        self.environ = {
            **self.sandbox.environ,
            "COLABENV_HOME": str(self.home),
            "JUPYTER_DATA_DIR": str(self.jupyter),
        }

    def forget(self, *, downloads: bool) -> None:
        """See `Contender.forget`. Also removes a lock that `up` wrote."""
        kept = set() if downloads else {"cache", "pythons"}
        paths = list(self.home.iterdir()) if self.home.exists() else []
        set_aside(*(path for path in paths if path.name not in kept), self.jupyter, self.folder / "project")
        project = self.folder / "project"
        project.mkdir(parents=True)
        (project / "profile.yaml").write_text(self.profile, encoding="utf-8")
        if self.lock is not None:
            (project / self.lock[0]).write_text(self.lock[1], encoding="utf-8")

    @property
    def argv(self) -> list[str | Path]:
        """The command as a user would type it."""
        profile = self.folder / "project" / "profile.yaml"
        return [sys.executable, "-m", "colabenv", "up", profile, "--variant", self.variant, *self.options]

    def run_up(self) -> tuple[float, dict[str, Any]]:
        """Run `up`; returns its seconds and its result."""
        seconds, output = run_timed([*self.argv, "--json"], self.environ)
        result: dict[str, Any] = json.loads(output)
        return seconds, result

    def run(self) -> Run:
        """See `Contender.run`."""
        before = read_child_cpu_seconds()
        seconds, result = self.run_up()
        cpu = read_child_cpu_seconds() - before
        if result["action"] != "built":
            raise SystemExit(f"up was expected to build an environment, but reports {result['action']!r}.")
        opened = run_first_cell(self.jupyter / "kernels", f"colabenv-{self.name}", self.environ)
        inside = {key: dict(result[key]) for key in ("seconds", "proof_seconds")}
        return Run(
            {"up": seconds, "open kernel": opened["kernel"], "cell again": opened["cell"]}, cpu, inside
        )


@dataclass
class UvByHand:
    """`uv venv` and `uv pip install`, with the uv that colabenv uses, then a cell in the environment's kernel."""

    sandbox: Sandbox
    folder: Path  #: its own folder in the sandbox
    python: str  #: the interpreter that colabenv chose
    requirements: Sequence[str]
    title: str

    def __post_init__(self) -> None:
        # The same index, certificate and mirror settings as colabenv gives its uv.
        cache = self.folder / "cache"
        self.environ = uv_variables(self.sandbox.environ, (), cache, self.folder / "pythons")

    def forget(self, *, downloads: bool) -> None:
        """See `Contender.forget`."""
        set_aside(self.folder / "env", *([self.folder / "cache"] if downloads else []))

    def run(self) -> Run:
        """See `Contender.run`."""
        before = read_child_cpu_seconds()
        uv, environment = find_uv_bin(), self.folder / "env"
        python = environment / "bin" / "python"
        self.folder.mkdir(parents=True, exist_ok=True)
        requirements = self.folder / "requirements.txt"
        requirements.write_text("\n".join(self.requirements) + "\n", encoding="utf-8")
        venv, _ = run_timed([uv, "venv", "--quiet", "--python", self.python, environment], self.environ)
        install, _ = run_timed([uv, "pip", "install", "--python", python, "-r", requirements], self.environ)
        opened = run_first_cell(write_kernelspec(self.folder, python), "by-hand", self.sandbox.environ)
        return Run({"venv": venv, "install": install, **opened}, read_child_cpu_seconds() - before)


@dataclass
class PipByHand:
    """`virtualenv` and its `pip install`, then a cell in the environment's kernel. Fields as in `UvByHand`."""

    sandbox: Sandbox
    folder: Path
    python: str
    requirements: Sequence[str]
    title: str

    def __post_init__(self) -> None:
        cache = self.folder / "cache"
        self.environ = {
            **pip_variables(self.sandbox.environ, (), cache),
            "VIRTUALENV_OVERRIDE_APP_DATA": str(cache / "virtualenv"),
        }

    def forget(self, *, downloads: bool) -> None:
        """See `Contender.forget`."""
        set_aside(self.folder / "env", *([self.folder / "cache"] if downloads else []))

    def run(self) -> Run:
        """See `Contender.run`."""
        before = read_child_cpu_seconds()
        environment = self.folder / "env"
        python = environment / "bin" / "python"
        virtualenv = [sys.executable, "-m", "virtualenv", "--quiet", "--no-periodic-update"]
        venv, _ = run_timed([*virtualenv, "--python", self.python, environment], self.environ)
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet"]
        install, _ = run_timed([*pip, *self.requirements], self.environ)
        opened = run_first_cell(write_kernelspec(self.folder, python), "by-hand", self.sandbox.environ)
        return Run({"venv": venv, "install": install, **opened}, read_child_cpu_seconds() - before)
