"""`profiles`: list the built-in profiles."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

from colabenv.commands.context import Context
from colabenv.errors import MachineError
from colabenv.frameworks.plan import make_plan
from colabenv.lock.lockfile import lock_file_name
from colabenv.output.profiles import BuiltinProfile, ProfilesResult
from colabenv.profile.load import load
from colabenv.profile.model import Stack


def profiles(context: Context) -> ProfilesResult:
    """List the built-in profiles.

    Raises:
        MachineError: this installation of colabenv has none.
    """
    outside = context.outside()
    files = sorted(outside.builtin.glob("*.yaml")) if outside.builtin else []
    if not files:
        raise MachineError(
            f"The built-in profiles are missing from {outside.builtin}.",
            hint="Install colabenv again: pip install --force-reinstall --no-deps colabenv",
        )
    builtin_profiles = []
    for file in files:
        loaded = load(f"builtin:{file.stem}", outside)
        variants = ("cpu", "gpu")
        builtin_profiles.append(
            BuiltinProfile(
                name=file.stem,
                python=make_plan(loaded, "cpu").requirements.python,
                stack=_format_stack(loaded.profile.stack),
                about=_read_comment(file),
                locks=tuple(
                    variant
                    for variant in variants
                    if (file.parent / lock_file_name(file.stem, variant)).is_file()
                ),
                path=str(file),
            )
        )
    return ProfilesResult(tuple(builtin_profiles))


def _format_stack(stack: Stack) -> str:
    named = {"TensorFlow": stack.tensorflow, "PyTorch": stack.torch, "JAX": stack.jax, "Keras": stack.keras}
    parts = [f"{name} {version}" for name, version in named.items() if version]
    if stack.backend:
        on = f"on {stack.backend}"
        parts = [*parts[:-1], f"{parts[-1]} {on}"] if stack.keras else [*parts, f"Keras {on}"]
    return ", ".join(parts) or "none"


def _read_comment(file: Path) -> str:
    """The comment that a profile begins with, as one line."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return " ".join(
        line.lstrip("# ").rstrip() for line in takewhile(lambda line: line.startswith("#"), lines)
    )
