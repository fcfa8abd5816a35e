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
    """List the built-in profiles. Raises MachineError if this installation of colabenv has none."""
    sources = context.profile_sources()
    files = sorted(sources.builtin.glob("*.yaml")) if sources.builtin else []
    if not files:
        raise MachineError(
            f"The built-in profiles are missing from {sources.builtin}.",
            hint="Reinstall colabenv: pip install --force-reinstall --no-deps colabenv",
        )
    builtin = []
    for file in files:
        loaded = load(f"builtin:{file.stem}", sources)
        locks = [name for name in ("cpu", "gpu") if (file.parent / lock_file_name(file.stem, name)).is_file()]
        builtin.append(
            BuiltinProfile(
                name=file.stem,
                python=make_plan(loaded, "cpu").requirements.python,
                stack=_describe_stack(loaded.profile.stack),
                about=_read_comment(file),
                locks=tuple(locks),
                path=str(file),
            )
        )
    return ProfilesResult(tuple(builtin))


def _describe_stack(stack: Stack) -> str:
    versions = {
        "TensorFlow": stack.tensorflow,
        "PyTorch": stack.torch,
        "JAX": stack.jax,
        "Keras": stack.keras,
    }
    parts = [f"{name} {version}" for name, version in versions.items() if version]
    if stack.backend:
        backend = f"on {stack.backend}"
        parts = [*parts[:-1], f"{parts[-1]} {backend}"] if stack.keras else [*parts, f"Keras {backend}"]
    return ", ".join(parts) or "none"


def _read_comment(file: Path) -> str:
    """The comment at the top of a profile as one line."""
    lines = file.read_text(encoding="utf-8").splitlines()
    comment = takewhile(lambda line: line.startswith("#"), lines)
    return " ".join(line.lstrip("# ").rstrip() for line in comment)
