"""The rules: profile and host in, requirements out. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from colabenv.errors import UnsatisfiableError, UsageError
from colabenv.stack.facts import CUDA_11, LINES, Line


@dataclass(frozen=True)
class Requirements:
    """What an environment has to hold, before it is resolved.

    Attributes:
        python: "3.11", or a full version the profile names.
        variant: "cpu" or "gpu".
        lines: PEP 508 requirements, the stack's first.
        constraints: PEP 508 constraints that keep old releases running.
        notes: why a choice was made, a sentence each.
    """

    python: str
    variant: str
    lines: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def choose_variant(accelerator: str, asked: str, host: str) -> str:
    """The variant to build.

    Args:
        accelerator: the profile's `stack.accelerator`.
        asked: the command's `--variant`; "auto" leaves it to the profile.
        host: the variant that suits this machine.

    Raises:
        UsageError: the command contradicts the profile.
    """
    if asked != "auto":
        if accelerator not in {"auto", asked}:
            raise UsageError(
                f"--variant {asked} contradicts the profile, which says accelerator: {accelerator}.",
                hint=f"Leave --variant out, or set accelerator: auto in the profile, or --variant {accelerator}.",
            )
        return asked
    return host if accelerator == "auto" else accelerator


def requirements(
    *,
    python: str | None,
    tensorflow: str | None,
    keras: str | None,
    lines: tuple[str, ...],
    variant: str,
    default_python: str,
) -> Requirements:
    """What the profile's stack and packages ask for.

    Args:
        python: the profile's, or None.
        tensorflow: a PEP 440 specifier such as "==2.15.1", or None.
        keras: likewise.
        lines: the profile's own requirements.
        variant: "cpu" or "gpu".
        default_python: minor to take where neither the profile nor the stack decides.

    Raises:
        UnsatisfiableError: TensorFlow has no wheels for the profile's Python.
    """
    found = line_of(tensorflow) if tensorflow is not None else None
    notes: list[str] = []
    if found is not None and python is not None:
        _require_wheels(found, python)
    if python is None:
        python = f"3.{found[1].newest}" if found else default_python
        why = (
            f"the newest that TensorFlow {_name(found[0])} has wheels for"
            if found
            else "the profile names none"
        )
        notes.append(f"Python {python}: {why}.")
    asked = []
    if tensorflow is not None:
        asked += _tensorflow(tensorflow, found[1] if found else None, variant)
    if keras is not None:
        asked.append(f"keras{keras}")
    return Requirements(
        python=python,
        variant=variant,
        lines=(*asked, *lines),
        constraints=found[1].repairs if found else (),
        notes=tuple(notes),
    )


def line_of(specifier: str) -> tuple[tuple[int, int], Line] | None:
    """The newest known release line with a release that `specifier` admits, or None."""
    allowed = SpecifierSet(specifier)
    for minor in sorted(LINES, reverse=True):
        if any(allowed.contains(Version(f"{minor[0]}.{minor[1]}.{patch}")) for patch in range(10)):
            return minor, LINES[minor]
    return None


def _require_wheels(found: tuple[tuple[int, int], Line], python: str) -> None:
    minor = int(python.split(".")[1])
    release, line = found
    if line.oldest <= minor <= line.newest:
        return
    fitting = [_name(other) for other in sorted(LINES) if LINES[other].oldest <= minor <= LINES[other].newest]
    others = f"; Python 3.{minor} has TensorFlow {fitting[0]} to {fitting[-1]}" if fitting else ""
    name = _name(release)
    raise UnsatisfiableError(
        f"TensorFlow {name} has no wheels for Python {python}.",
        hint=f"TensorFlow {name} runs on Python 3.{line.oldest} to 3.{line.newest}: set "
        f'python: "3.{line.newest}"{others}. Or leave python out, and colabenv picks one that fits.',
    )


def _tensorflow(specifier: str, line: Line | None, variant: str) -> list[str]:
    if variant == "cpu":
        return [f"tensorflow{specifier}"]
    if line is None or not line.cudnn:
        return [f"tensorflow[and-cuda]{specifier}"]
    return [f"tensorflow{specifier}", *CUDA_11, f"nvidia-cudnn-cu11=={line.cudnn}"]


def _name(release: tuple[int, int]) -> str:
    return f"{release[0]}.{release[1]}"
