"""The rules: profile and host in, requirements out, or a refusal with what does work. Pure."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from colabenv.errors import UsageError
from colabenv.stack import facts, refusals
from colabenv.stack.facts import Pairing, Release, Table

if TYPE_CHECKING:
    from colabenv.host.probe import Gpu

#: The variable that makes tensorflow.keras mean tf-keras, from TensorFlow 2.16 on.
LEGACY_KERAS = "TF_USE_LEGACY_KERAS"


@dataclass(frozen=True)
class Requirements:
    """What an environment has to hold, before it is resolved.

    Attributes:
        python: "3.11", or a full version the profile names.
        variant: "cpu" or "gpu".
        lines: PEP 508 requirements, the stack's first.
        constraints: PEP 508 constraints that keep old releases running.
        notes: why a choice was made, a sentence each.
        variables: (name, value) that the kernel needs for the stack; the profile's own `env` goes before them.
        from_source: distributions that the stack needs and that have no wheels.
    """

    python: str
    variant: str
    lines: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    from_source: tuple[str, ...] = ()


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
    gpus: tuple[Gpu, ...] = (),
    table: Table | None = None,
) -> Requirements:
    """What the profile's stack and packages ask for.

    Args:
        python: the profile's, or None.
        tensorflow: a PEP 440 specifier such as "==2.15.1", or None.
        keras: likewise.
        lines: the profile's own requirements.
        variant: "cpu" or "gpu".
        default_python: minor to take where neither the profile nor the stack decides.
        gpus: the machine's, to refuse what cannot run on them; they change nothing else, so that every machine locks
            the same.
        table: the facts, by default those that ship.

    Raises:
        UnsatisfiableError: it cannot work, and what comes nearest.
    """
    table = table or facts.table()
    release = None
    if tensorflow is not None:
        release = choose_release(tensorflow, python, keras, table)
    notes = []
    if python is None:
        python = release.pythons[-1] if release else default_python
        why = (
            f"the newest that TensorFlow {release.line} has wheels for"
            if release
            else "the profile names none"
        )
        notes.append(f"Python {python}: {why}.")
    own, variables, said = _keras_lines(release, keras, table)
    notes += said
    constraints: tuple[str, ...] = ()
    from_source: tuple[str, ...] = ()
    if release is not None:
        refusals.require_companions(release, tensorflow or "", lines, table)
        constraints = (*release.build.repairs, *companion_constraints(release, python, lines, table))
        needing = [pairing.source_builds for _, pairing in _companions(release, python, lines, table)]
        from_source = tuple(sorted({*release.source_builds, *itertools.chain.from_iterable(needing)}))
        if from_source:
            notes.append(f"Built from source, for want of wheels: {', '.join(from_source)}.")
        if variant == "gpu":
            refusals.require_gpu(release, gpus, table)
            refusals.require_one_cudnn(release, lines)
            notes += compile_notes(release, gpus)
    return Requirements(
        python=python,
        variant=variant,
        lines=(*_tensorflow_lines(tensorflow, release, variant), *own, *lines),
        constraints=constraints,
        notes=tuple(notes),
        variables=variables,
        from_source=from_source,
    )


def choose_release(specifier: str, python: str | None, keras: str | None, table: Table) -> Release | None:
    """The newest known release that suits the profile; None for TensorFlow that the table does not know.

    Args:
        specifier: PEP 440, such as "==2.15.*".
        python: the profile's, or None.
        keras: PEP 440 specifier, or None.
        table: the facts.

    Raises:
        UnsatisfiableError: known releases are admitted, but none has wheels for that Python or takes that Keras.
    """
    allowed = SpecifierSet(specifier)
    admitted = [release for release in table.releases if allowed.contains(release.version)]
    if not admitted:
        # A patch release newer than the table is like the others of its line.
        admitted = [
            release
            for release in table.releases
            if any(allowed.contains(f"{release.line}.{patch}") for patch in range(10))
        ]
    if not admitted:
        return None
    if python is not None:
        minor = ".".join(python.split(".")[:2])
        fitting = [release for release in admitted if minor in release.pythons]
        if not fitting:
            raise refusals.no_wheels(admitted[-1], python, table)
        admitted = fitting
    if keras is None:
        return admitted[-1]
    for way in ("own", "legacy"):
        fitting = [release for release in admitted if keras_way(release, keras, table) == way]
        if fitting:
            return fitting[-1]
    others = [release for release in table.releases if keras_way(release, keras, table)]
    raise refusals.keras_does_not_fit(admitted[-1], keras, others)


def keras_way(release: Release, keras: str, table: Table) -> str:
    """How a release of TensorFlow can have a Keras.

    Returns:
        "own": it takes such a Keras itself; "legacy": as tf-keras, where it ships Keras 3 and Keras 2 is asked for;
        "": not at all.
    """
    allowed = SpecifierSet(keras)
    declared = release.takes("keras")
    if declared is None:
        # Up to 2.5 Keras is a part of TensorFlow and has its version.
        return "own" if any(allowed.contains(f"{release.line}.{patch}") for patch in range(10)) else ""
    asked = [one for one in _keras_releases(allowed, table) if allowed.contains(one)]
    if any(declared.contains(one) for one in asked):
        return "own"
    only_keras_2 = {Version(one).major for one in asked} == {2}
    ships_keras_3 = declared.contains("3.99")
    has_line = any(pairing.tensorflow.contains(release.version) for pairing in table.companions["tf-keras"])
    return "legacy" if only_keras_2 and ships_keras_3 and has_line else ""


def _keras_releases(allowed: SpecifierSet, table: Table) -> list[str]:
    """The known releases, and what may have come since: further minors of Keras 3 and what the profile pins."""
    newest = Version(table.keras[-1])
    later = [f"{newest.major}.{minor}.0" for minor in range(newest.minor + 1, newest.minor + 40)]
    pinned = [one.version for one in allowed if one.operator == "==" and not one.version.endswith("*")]
    return [*table.keras, *later, *(pin for pin in pinned if Version(pin) > newest)]


def _keras_lines(
    release: Release | None, keras: str | None, table: Table
) -> tuple[list[str], tuple[tuple[str, str], ...], list[str]]:
    """Requirements, variables and notes for the profile's Keras."""
    if keras is None:
        return [], (), []
    if release is None:
        return [f"keras{keras}"], (), []
    if release.takes("keras") is None:
        return [], (), [f"Keras is a part of TensorFlow {release.line}; no other is installed."]
    if keras_way(release, keras, table) == "own":
        return [f"keras{keras}"], (), []
    note = (
        f"TensorFlow {release.line} ships Keras 3. Keras 2 goes on there as tf-keras {release.line}, and "
        f"{LEGACY_KERAS}=1 makes tensorflow.keras mean it."
    )
    return [f"tf-keras=={release.line}.*"], ((LEGACY_KERAS, "1"),), [note]


def _tensorflow_lines(specifier: str | None, release: Release | None, variant: str) -> list[str]:
    if specifier is None:
        return []
    if variant == "cpu":
        return [f"tensorflow{specifier}"]
    if release is not None and release.cuda_pins:
        return [f"tensorflow{specifier}", *release.cuda_pins]
    return [f"tensorflow[and-cuda]{specifier}"]


def companion_constraints(
    release: Release, python: str, lines: tuple[str, ...], table: Table
) -> tuple[str, ...]:
    """For each companion among the profile's packages, the newest release that goes with that TensorFlow.

    Most companions declare no TensorFlow, or an open range, so that a resolver takes the newest, which does not work.

    Args:
        release: of TensorFlow.
        python: minor or full version.
        lines: the profile's own requirements.
        table: the facts.
    """
    # Where the newest release of the table goes with this TensorFlow, later ones may as well.
    return tuple(
        f"{name}<={fitting.releases[-1]}"
        for name, fitting in _companions(release, python, lines, table)
        if fitting != table.companions[name][-1]
    )


def _companions(
    release: Release, python: str, lines: tuple[str, ...], table: Table
) -> list[tuple[str, Pairing]]:
    """The companions among the profile's packages, each with its newest releases that go with that TensorFlow."""
    minor = ".".join(python.split(".")[:2])
    found = []
    for requirement in map(Requirement, lines):
        name = str(canonicalize_name(requirement.name))
        fitting = [
            pairing
            for pairing in table.companions.get(name, ())
            if pairing.tensorflow.contains(release.version) and minor in (pairing.pythons or (minor,))
        ]
        found += [(name, fitting[-1])] if fitting else []
    return found


def compile_notes(release: Release, gpus: tuple[Gpu, ...]) -> list[str]:
    """What to say about GPUs for which TensorFlow brings no compiled kernels."""
    return [
        f"{gpu.name} is newer than the kernels compiled into TensorFlow {release.line}: the first use of the GPU "
        "compiles them, which can take many minutes."
        for gpu in dict.fromkeys(gpus)
        if gpu.compute_capability and refusals.runs(release, gpu.compute_capability) == "compiled at start"
    ]
