"""The rules: profile and host in, requirements out, or a refusal with what does work. Pure."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from colabenv.errors import UsageError
from colabenv.frameworks import combinations, facts, refusals, selection
from colabenv.frameworks import keras as of_keras
from colabenv.frameworks.facts import Pairing, Table, TensorFlowRelease
from colabenv.frameworks.request import FrameworkRequest
from colabenv.frameworks.selection import Selection
from colabenv.host.interpreters import minor_version

if TYPE_CHECKING:
    from colabenv.host.probe import Gpu

TORCH_ON_CPU = (
    "The package index has PyTorch with NVIDIA's libraries only, several gigabytes that are installed without a GPU, "
    "too; docs/profile.md says how to have smaller wheels."
)


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


def derive_requirements(
    *,
    python: str | None,
    tensorflow: str | None,
    keras: str | None,
    torch: str | None = None,
    jax: str | None = None,
    backend: str | None = None,
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
        torch: likewise.
        jax: likewise.
        backend: what Keras 3 runs on, "tensorflow", "torch" or "jax", or None.
        lines: the profile's own requirements.
        variant: "cpu" or "gpu".
        default_python: minor to take where neither the profile nor the stack decides.
        gpus: the machine's, to refuse what cannot run on them; they change nothing else, so that every machine locks
            the same.
        table: the facts, by default those that ship.

    Raises:
        UnsatisfiableError: it cannot work, and what comes nearest.
    """
    table = table or facts.load_table()
    asked, notes = of_keras.complete_request(
        FrameworkRequest(python, tensorflow, keras, torch, jax, backend), table
    )
    of_keras.require_framework(asked, lines)
    chosen = selection.select_releases(asked, variant, table)
    python, why = _python(asked, chosen, default_python)
    notes = [*([why] if why else []), *notes]
    own, variables, said = of_keras.derive_keras(chosen.tensorflow, asked, table)
    notes += said
    constraints, from_source, said = _held(asked, chosen, python, lines, table)
    notes += said
    if variant == "gpu":
        notes += _on_gpus(chosen, lines, gpus, table)
    elif chosen.of("torch") and "+" not in (asked.torch or ""):
        notes.append(TORCH_ON_CPU)
    return Requirements(
        python=python,
        variant=variant,
        lines=(
            *_tensorflow_lines(asked.tensorflow, chosen.tensorflow, variant),
            *_other_lines(asked, chosen, variant),
            *own,
            *lines,
        ),
        constraints=constraints,
        notes=tuple(notes),
        variables=variables,
        from_source=from_source,
    )


def _python(asked: FrameworkRequest, chosen: Selection, default: str) -> tuple[str, str]:
    """The Python to use, and a note where the profile names none."""
    if asked.python is not None:
        return asked.python, ""
    if not chosen.members:
        return default, f"Python {default}: the profile names none."
    titles = " and ".join(member.title for member in chosen.members)
    return (
        chosen.python,
        f"Python {chosen.python}: the newest that {titles} {'has' if len(chosen.members) == 1 else 'have'} wheels for.",
    )


def _held(
    asked: FrameworkRequest, chosen: Selection, python: str, lines: tuple[str, ...], table: Table
) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    """Constraints, what is built from source, and notes."""
    release = chosen.tensorflow
    constraints: list[str] = []
    from_source: tuple[str, ...] = ()
    if release is not None:
        refusals.require_companions(release, asked.tensorflow or "", lines, table)
        constraints += [*release.build.repairs, *companion_constraints(release, python, lines, table)]
        needing = [pairing.source_builds for _, pairing in _companions(release, python, lines, table)]
        from_source = tuple(sorted({*release.source_builds, *itertools.chain.from_iterable(needing)}))
    constraints += [repair for other in chosen.others for repair in combinations.find_repairs(other, table)]
    constraints += [repair.constraint for repair in of_keras.find_keras_repairs(asked, table)]
    constraints += chosen.pairing_constraints
    notes = [f"Built from source, for want of wheels: {', '.join(from_source)}."] if from_source else []
    return tuple(dict.fromkeys(constraints)), from_source, notes


def _on_gpus(chosen: Selection, lines: tuple[str, ...], gpus: tuple[Gpu, ...], table: Table) -> list[str]:
    """Refuse what does not run on the machine's GPUs; what to say of the rest."""
    notes = []
    if chosen.tensorflow is not None:
        refusals.require_tensorflow_gpu(chosen.tensorflow, gpus, table)
        refusals.require_one_cudnn(chosen.tensorflow, lines)
        notes += compile_notes(chosen.tensorflow, gpus)
    for member in chosen.members:
        if member.framework != "tensorflow":
            refusals.require_gpu(member, gpus, combinations.list_all(member.framework, "gpu", table), table)
    return notes


def _other_lines(asked: FrameworkRequest, chosen: Selection, variant: str) -> list[str]:
    found = [f"torch{asked.torch}"] if asked.torch is not None else []
    if asked.jax is not None:
        jax = chosen.of("jax")
        # A release that the table does not know has its CUDA 12 plugin, like all since 0.4.22.
        extra = jax.extra if jax else {"cpu": "cpu", "gpu": "cuda12"}[variant]
        found.append(f"jax[{extra}]{asked.jax}")
    return found


def _tensorflow_lines(specifier: str | None, release: TensorFlowRelease | None, variant: str) -> list[str]:
    if specifier is None:
        return []
    if variant == "cpu":
        return [f"tensorflow{specifier}"]
    if release is not None and release.cuda_pins:
        return [f"tensorflow{specifier}", *release.cuda_pins]
    return [f"tensorflow[and-cuda]{specifier}"]


def companion_constraints(
    release: TensorFlowRelease, python: str, lines: tuple[str, ...], table: Table
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
    release: TensorFlowRelease, python: str, lines: tuple[str, ...], table: Table
) -> list[tuple[str, Pairing]]:
    """The companions among the profile's packages, each with its newest releases that go with that TensorFlow."""
    minor = minor_version(python)
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


def compile_notes(release: TensorFlowRelease, gpus: tuple[Gpu, ...]) -> list[str]:
    """What to say about GPUs for which TensorFlow brings no compiled kernels."""
    return [
        f"{gpu.name} is newer than the kernels compiled into TensorFlow {release.line}: the first use of the GPU "
        "compiles them, which can take many minutes."
        for gpu in dict.fromkeys(gpus)
        if gpu.compute_capability
        and refusals.classify_kernels(release, gpu.compute_capability) == "compiled at start"
    ]
