"""Those who are measured. Each can forget all it has, or all but its downloads, and go to the first prediction."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from uv import find_uv_bin

from benchlib.kernels import first_prediction, unregistered
from benchlib.place import Place, children_cpu, remove, timed
from colabenv.environment.installers.index_settings import pip_variables, uv_variables


@dataclass(frozen=True)
class Run:
    """One way to the first prediction.

    Attributes:
        steps: seconds by step; together, the whole way.
        cpu: seconds of processor time to the first prediction, all cores together.
        inside: colabenv's own account: "seconds" by stage and "proof_seconds" by step; empty for others.
    """

    steps: dict[str, float]
    cpu: float
    inside: dict[str, dict[str, float]] = field(default_factory=dict)


class Contender(Protocol):
    """Somebody who is measured."""

    title: str

    def forget(self, *, downloads: bool) -> None:
        """Remove the environment, and where `downloads` says so the cache too."""
        ...

    def run(self) -> Run:
        """Go from nothing to the first prediction."""
        ...


@dataclass
class Up:
    """`colabenv up`, then its registered kernel opened and the cell run there.

    Attributes:
        place: where.
        folder: of its own, below the place.
        profile: text of the profile.
        name: of the profile.
        lock: (file name, text) of the lock that lies beside the profile, or None for none.
        title: for people.
        variant: "cpu" or "gpu".
        options: more of them for `up`.
    """

    place: Place
    folder: Path
    profile: str
    name: str
    lock: tuple[str, str] | None
    title: str
    variant: str = "cpu"
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.home = self.folder / "colabenv"
        self.jupyter = self.folder / "jupyter"
        self.environ = {
            **self.place.environ,
            "COLABENV_HOME": str(self.home),
            "JUPYTER_DATA_DIR": str(self.jupyter),
        }

    def forget(self, *, downloads: bool) -> None:
        """See `Contender.forget`. The lock that `up` wrote goes too; one that came with the profile stays."""
        kept = set() if downloads else {"cache", "pythons"}
        there = list(self.home.iterdir()) if self.home.exists() else []
        remove(*(path for path in there if path.name not in kept), self.jupyter, self.folder / "project")
        project = self.folder / "project"
        project.mkdir(parents=True)
        (project / "profile.yaml").write_text(self.profile, encoding="utf-8")
        if self.lock is not None:
            (project / self.lock[0]).write_text(self.lock[1], encoding="utf-8")

    @property
    def argv(self) -> list[str | Path]:
        """The command, which people would type."""
        profile = self.folder / "project" / "profile.yaml"
        return [sys.executable, "-m", "colabenv", "up", profile, "--variant", self.variant, *self.options]

    def up(self) -> tuple[float, dict[str, Any]]:
        """Run `up`: seconds, and its result."""
        seconds, said = timed([*self.argv, "--json"], self.environ)
        result: dict[str, Any] = json.loads(said)
        return seconds, result

    def run(self) -> Run:
        """See `Contender.run`."""
        before = children_cpu()
        seconds, result = self.up()
        cpu = children_cpu() - before
        if result["action"] != "built":
            raise SystemExit(f"up should have built an environment, but says {result['action']!r}.")
        opened = first_prediction(self.jupyter / "kernels", f"colabenv-{self.name}", self.environ)
        inside = {key: dict(result[key]) for key in ("seconds", "proof_seconds")}
        return Run(
            {"up": seconds, "open kernel": opened["kernel"], "cell again": opened["cell"]}, cpu, inside
        )


@dataclass
class UvByHand:
    """`uv venv` and `uv pip install`, with the same uv, then a kernel of the environment.

    Attributes:
        place: where.
        folder: of its own, below the place.
        python: the interpreter that colabenv chose.
        requirements: what to install.
        title: for people.
    """

    place: Place
    folder: Path
    python: str
    requirements: Sequence[str]
    title: str

    def __post_init__(self) -> None:
        # The same index, certificate and mirror settings as colabenv gives its uv, so that both ask the same places.
        cache = self.folder / "cache"
        self.environ = uv_variables(self.place.environ, (), cache, self.folder / "pythons")

    def forget(self, *, downloads: bool) -> None:
        """See `Contender.forget`."""
        remove(self.folder / "env", *([self.folder / "cache"] if downloads else []))

    def run(self) -> Run:
        """See `Contender.run`."""
        before = children_cpu()
        uv, environment = find_uv_bin(), self.folder / "env"
        python = environment / "bin" / "python"
        self.folder.mkdir(parents=True, exist_ok=True)
        wanted = self.folder / "requirements.txt"
        wanted.write_text("\n".join(self.requirements) + "\n", encoding="utf-8")
        venv, _ = timed([uv, "venv", "--quiet", "--python", self.python, environment], self.environ)
        install, _ = timed([uv, "pip", "install", "--python", python, "-r", wanted], self.environ)
        opened = first_prediction(unregistered(self.folder, python), "by-hand", self.place.environ)
        return Run({"venv": venv, "install": install, **opened}, children_cpu() - before)


@dataclass
class PipByHand:
    """`virtualenv` and its `pip install`, then a kernel of the environment; see `UvByHand`."""

    place: Place
    folder: Path
    python: str
    requirements: Sequence[str]
    title: str

    def __post_init__(self) -> None:
        cache = self.folder / "cache"
        self.environ = {
            **pip_variables(self.place.environ, (), cache),
            "VIRTUALENV_OVERRIDE_APP_DATA": str(cache / "virtualenv"),
        }

    def forget(self, *, downloads: bool) -> None:
        """See `Contender.forget`."""
        remove(self.folder / "env", *([self.folder / "cache"] if downloads else []))

    def run(self) -> Run:
        """See `Contender.run`."""
        before = children_cpu()
        environment = self.folder / "env"
        python = environment / "bin" / "python"
        virtualenv = [sys.executable, "-m", "virtualenv", "--quiet", "--no-periodic-update"]
        venv, _ = timed([*virtualenv, "--python", self.python, environment], self.environ)
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet"]
        install, _ = timed([*pip, *self.requirements], self.environ)
        opened = first_prediction(unregistered(self.folder, python), "by-hand", self.place.environ)
        return Run({"venv": venv, "install": install, **opened}, children_cpu() - before)
