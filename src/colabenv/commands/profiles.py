"""`profiles`: what ships with colabenv, to use as it is or to extend."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from colabenv.commands.context import Context
from colabenv.errors import MachineError
from colabenv.frameworks.plan import make_plan
from colabenv.lock.lockfile import lock_file_name
from colabenv.output.results import Result
from colabenv.profile.load import load
from colabenv.profile.model import Stack


@dataclass(frozen=True)
class Shipped:
    """One profile that ships.

    Attributes:
        name: use it as `builtin:NAME`.
        python: the Python that it names or that the rules pick.
        stack: frameworks and their versions as the profile has them.
        about: what it is for: the comment at its top.
        locks: variants that ship locked.
        path: its file.
    """

    name: str
    python: str
    stack: str
    about: str
    locks: tuple[str, ...]
    path: str


@dataclass(frozen=True)
class ProfilesResult(Result):
    """What ships.

    Attributes:
        profiles: by name.
    """

    profiles: tuple[Shipped, ...]

    def table(self) -> tuple[list[str], list[list[str]]] | None:
        """A row a profile."""
        rows = [[one.name, one.python, one.stack, one.about] for one in self.profiles]
        return ["name", "Python", "stack", "what it is for"], rows

    def lines(self) -> list[str]:
        """What to do with them."""
        return [
            "Build one with: colabenv up builtin:NAME",
            'Start one of your own from it with: extends: ["builtin:NAME"]',
        ]


def profiles(context: Context) -> ProfilesResult:
    """List the profiles that ship.

    Raises:
        MachineError: this installation of colabenv has none.
    """
    outside = context.outside()
    files = sorted(outside.builtin.glob("*.yaml")) if outside.builtin else []
    if not files:
        raise MachineError(
            f"The profiles that ship with colabenv are missing from {outside.builtin}.",
            hint="Install colabenv again: pip install --force-reinstall --no-deps colabenv",
        )
    found = []
    for file in files:
        loaded = load(f"builtin:{file.stem}", outside)
        variants = ("cpu", "gpu")
        found.append(
            Shipped(
                name=file.stem,
                python=make_plan(loaded, "cpu").requirements.python,
                stack=_stack(loaded.profile.stack),
                about=_about(file),
                locks=tuple(v for v in variants if (file.parent / lock_file_name(file.stem, v)).is_file()),
                path=str(file),
            )
        )
    return ProfilesResult(tuple(found))


def _stack(stack: Stack) -> str:
    named = {"TensorFlow": stack.tensorflow, "PyTorch": stack.torch, "JAX": stack.jax, "Keras": stack.keras}
    parts = [f"{name} {version}" for name, version in named.items() if version]
    if stack.backend:
        on = f"on {stack.backend}"
        parts = [*parts[:-1], f"{parts[-1]} {on}"] if stack.keras else [*parts, f"Keras {on}"]
    return ", ".join(parts) or "none"


def _about(file: Path) -> str:
    """The comment that a profile begins with, as one line."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return " ".join(
        line.lstrip("# ").rstrip() for line in takewhile(lambda line: line.startswith("#"), lines)
    )
