"""Derive requirements from the frameworks of a profile, or raise an error that says what works. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from colabenv.errors import UsageError
from colabenv.frameworks import combinations, conflicts, facts
from colabenv.frameworks import keras as keras_rules
from colabenv.frameworks.companions import find_tensorboard_constraints
from colabenv.frameworks.facts import Pairing, Table, TensorFlowRelease
from colabenv.frameworks.request import FrameworkRequest
from colabenv.frameworks.selection import Selection, select_releases
from colabenv.host.interpreters import minor_version

if TYPE_CHECKING:
    from colabenv.host.probe import Gpu

TORCH_ON_CPU = (
    "The package index has PyTorch only with NVIDIA's libraries, several gigabytes that are installed even without a "
    "GPU. docs/profile.md shows how to use smaller wheels."
)


@dataclass(frozen=True)
class Requirements:
    """What an environment must contain, before it is resolved.

    Attributes:
        python: "3.11", or a full version that the profile requests.
        variant: "cpu" or "gpu".
        lines: PEP 508 requirements, those of the frameworks first.
        constraints: PEP 508 constraints that keep old releases working.
        notes: sentences that explain choices.
        variables: (name, value) that the kernel needs for the frameworks; the profile's `env` takes precedence.
        from_source: distributions without wheels that the frameworks need.
        cpu_only: why no machine can run the frameworks on a GPU, or "".
    """

    python: str
    variant: str
    lines: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    from_source: tuple[str, ...] = ()
    cpu_only: str = ""


def choose_variant(accelerator: str, requested: str, host: str) -> str:
    """Choose the variant to build.

    Args:
        accelerator: the profile's `stack.accelerator`.
        requested: the value of `--variant`; with "auto", the profile decides.
        host: the variant for this machine.

    Raises:
        UsageError: the option contradicts the profile.
    """
    if requested == "auto":
        return host if accelerator == "auto" else accelerator
    if accelerator not in {"auto", requested}:
        raise UsageError(
            f"--variant {requested} contradicts accelerator: {accelerator} in the profile.",
            hint=f"Leave out --variant, use --variant {accelerator}, or set accelerator: auto in the profile.",
        )
    return requested


def derive_requirements(
    request: FrameworkRequest,
    *,
    lines: tuple[str, ...] = (),
    variant: str,
    default_python: str,
    gpus: tuple[Gpu, ...] = (),
    table: Table | None = None,
) -> Requirements:
    """Derive the requirements of a profile's frameworks and packages.

    Args:
        request: the frameworks.
        lines: the profile's own requirements.
        variant: "cpu" or "gpu".
        default_python: minor for a profile that requests neither a Python nor a framework.
        gpus: the machine's GPUs, to refuse what does not run on them. They change nothing else, so that all machines
            get the same lock.
        table: the facts, by default those of table.toml.

    Raises:
        UnsatisfiableError: the frameworks cannot work; the hint says what does.
    """
    table = table or facts.load_table()
    request, notes = keras_rules.complete_request(request, table)
    keras_rules.require_framework(request, lines)
    selection = select_releases(request, variant, table)
    python, reason = _choose_python(request, selection, default_python)
    keras_lines, variables, keras_notes = keras_rules.derive_keras(selection.tensorflow, request, table)
    constraints, from_source = _derive_constraints(request, selection, python, lines, table)
    notes = [*reason, *notes, *keras_notes]
    if from_source:
        notes.append(f"Built from source, because there are no wheels: {', '.join(from_source)}.")
    if variant == "gpu":
        notes += _check_gpus(selection, lines, gpus, table)
    elif selection.find("torch") and "+" not in (request.torch or ""):
        notes.append(TORCH_ON_CPU)
    return Requirements(
        python=python,
        variant=variant,
        lines=(
            *_tensorflow_lines(request.tensorflow, selection.tensorflow, variant),
            *_torch_and_jax_lines(request, selection, variant),
            *keras_lines,
            *lines,
        ),
        constraints=constraints,
        notes=tuple(notes),
        variables=variables,
        from_source=from_source,
        cpu_only=conflicts.explain_cpu_only(selection.tensorflow, table) if selection.tensorflow else "",
    )


def _choose_python(request: FrameworkRequest, selection: Selection, default: str) -> tuple[str, list[str]]:
    """The Python, and a note that explains it unless the profile requests it."""
    if request.python is not None:
        return request.python, []
    if not selection.members:
        return default, [f"Python {default}: the profile does not request one."]
    titles = " and ".join(member.title for member in selection.members)
    verb = "has" if len(selection.members) == 1 else "have"
    return selection.python, [f"Python {selection.python}: the newest that {titles} {verb} wheels for."]


def _derive_constraints(
    request: FrameworkRequest, selection: Selection, python: str, lines: Sequence[str], table: Table
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The constraints, and the distributions that are built from source."""
    release = selection.tensorflow
    constraints: list[str] = []
    from_source: set[str] = set()
    if release is not None:
        conflicts.require_companions(release, request.tensorflow or "", lines, table)
        companions = _find_companions(release, python, lines, table)
        constraints += release.build.repairs
        constraints += keras_rules.constrain_separate_keras(release, request, table)
        # Most companions declare no TensorFlow, or an open range, so a resolver would choose the newest, which does not
        # work. If the newest in the table works with this TensorFlow, later ones may work too.
        constraints += [
            f"{name}<={pairing.releases[-1]}"
            for name, pairing in companions
            if pairing.releases[-1] != _find_newest(name, table)
        ]
        builds = [release.source_builds, *(pairing.source_builds for _, pairing in companions)]
        from_source.update(itertools.chain.from_iterable(builds))
    for other in selection.others:
        constraints += combinations.find_repairs(other, table)
    constraints += [repair.constraint for repair in keras_rules.find_keras_repairs(request, table)]
    constraints += selection.pairing_constraints
    if release is None:
        constraints += find_tensorboard_constraints(lines)
    return tuple(dict.fromkeys(constraints)), tuple(sorted(from_source))


def _find_companions(
    release: TensorFlowRelease, python: str, lines: Sequence[str], table: Table
) -> list[tuple[str, Pairing]]:
    """The companions among the profile's packages, each with its newest releases for that TensorFlow."""
    minor = minor_version(python)
    companions = []
    for name in (canonicalize_name(Requirement(line).name) for line in lines):
        fitting = [
            pairing
            for pairing in table.companions.get(name, ())
            if pairing.tensorflow.contains(release.version) and minor in (pairing.pythons or (minor,))
        ]
        companions += [(str(name), fitting[-1])] if fitting else []
    return companions


def _find_newest(name: str, table: Table) -> str:
    """The newest known release of a companion. The table pairs a Keras only if TensorFlow does not require one."""
    return table.keras[-1] if name == "keras" else table.companions[name][-1].releases[-1]


def _check_gpus(selection: Selection, lines: Sequence[str], gpus: tuple[Gpu, ...], table: Table) -> list[str]:
    """Check that the frameworks run on the machine's GPUs, and return notes about those that start slowly."""
    notes = []
    if release := selection.tensorflow:
        conflicts.require_tensorflow_gpu(release, gpus, table)
        conflicts.require_one_cudnn(release, lines)
        notes = [
            f"{gpu.name} is newer than the kernels compiled into {release.title}: the first use of the GPU compiles "
            "them, which can take many minutes."
            for gpu in dict.fromkeys(gpus)
            if gpu.compute_capability
            and conflicts.classify_kernels(release, gpu.compute_capability) == "compiled at start"
        ]
    for member in selection.members:
        if member.framework != "tensorflow":
            known = combinations.list_all(member.framework, "gpu", table)
            conflicts.require_gpu(member, gpus, [other for other in known if other.cuda], table)
    return notes


def _torch_and_jax_lines(request: FrameworkRequest, selection: Selection, variant: str) -> list[str]:
    lines = [f"torch{request.torch}"] if request.torch is not None else []
    if request.jax is not None:
        jax = selection.find("jax")
        # A release that is not in the table has a CUDA 12 plugin, like all since 0.4.22.
        extra = jax.extra if jax else {"cpu": "cpu", "gpu": "cuda12"}[variant]
        lines.append(f"jax[{extra}]{request.jax}")
    return lines


def _tensorflow_lines(specifier: str | None, release: TensorFlowRelease | None, variant: str) -> list[str]:
    if specifier is None:
        return []
    if variant == "cpu":
        return [f"tensorflow{specifier}"]
    if release is not None and release.cuda_pins:
        return [f"tensorflow{specifier}", *release.cuda_pins]
    return [f"tensorflow[and-cuda]{specifier}"]
