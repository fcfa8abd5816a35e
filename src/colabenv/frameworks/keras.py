"""Keras: which one goes with which framework, and what it runs on. Pure."""

from __future__ import annotations

from dataclasses import replace

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from colabenv.frameworks import conflicts
from colabenv.frameworks.facts import TITLES, Repair, Table, TensorFlowRelease, TorchOrJaxRelease
from colabenv.frameworks.request import FrameworkRequest

#: The variable that makes tensorflow.keras mean tf-keras, from TensorFlow 2.16 on.
LEGACY_KERAS = "TF_USE_LEGACY_KERAS"
#: The variable that says what Keras 3 runs on; without it, on TensorFlow.
BACKEND = "KERAS_BACKEND"
#: Distributions that Keras can run on.
_FRAMEWORKS = frozenset(
    {"tensorflow", "tensorflow-cpu", "tensorflow-rocm", "tf-nightly", "torch", "jax", "openvino"}
)


def match_keras(release: TensorFlowRelease, keras: str, table: Table) -> str:
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
    asked = list_releases(allowed, table)
    if any(declared.contains(one) for one in asked):
        return "own"
    has_line = any(pairing.tensorflow.contains(release.version) for pairing in table.companions["tf-keras"])
    return "legacy" if means_keras_2(allowed, table) and has_keras_3(release) and has_line else ""


def has_keras_3(release: TensorFlowRelease) -> bool:
    """Whether a release of TensorFlow comes with Keras 3."""
    declared = release.takes("keras")
    return declared is not None and declared.contains("3.99")


def means_keras_2(allowed: SpecifierSet, table: Table) -> bool:
    """Whether a range means Keras 2 and nothing newer."""
    return {Version(one).major for one in list_releases(allowed, table)} == {2}


def list_releases(allowed: SpecifierSet, table: Table) -> list[str]:
    """The releases of a range: known ones, later minors of Keras 3 that may have come since, and what is pinned."""
    newest = Version(table.keras[-1])
    later = [f"{newest.major}.{minor}.0" for minor in range(newest.minor + 1, newest.minor + 40)]
    pinned = [one.version for one in allowed if one.operator == "==" and not one.version.endswith("*")]
    every = [*table.keras, *later, *(pin for pin in pinned if Version(pin) > newest)]
    return [one for one in every if allowed.contains(one)]


def derive_keras(
    release: TensorFlowRelease | None, asked: FrameworkRequest, table: Table
) -> tuple[list[str], tuple[tuple[str, str], ...], list[str]]:
    """Requirements, variables and notes for the profile's Keras.

    Args:
        release: of TensorFlow, or None.
        asked: the profile's stack, completed.
        table: the facts.
    """
    variables = ((BACKEND, asked.backend),) if asked.backend else ()
    if release is None:
        wanted = asked.keras or (">=3" if asked.backend else None)
        return [f"keras{wanted}"] if wanted else [], variables, []
    if asked.keras is None:
        return [], variables, []
    if release.takes("keras") is None:
        return [], (), [f"Keras is a part of TensorFlow {release.line}; no other is installed."]
    if match_keras(release, asked.keras, table) == "own":
        return [f"keras{asked.keras}"], variables, []
    note = (
        f"TensorFlow {release.line} ships Keras 3. Keras 2 goes on there as tf-keras {release.line}, and "
        f"{LEGACY_KERAS}=1 makes tensorflow.keras mean it."
    )
    return [f"tf-keras=={release.line}.*"], ((LEGACY_KERAS, "1"),), [note]


def complete_request(asked: FrameworkRequest, table: Table) -> tuple[FrameworkRequest, list[str]]:
    """The stack with the backend that it implies, and with a framework for its backend.

    Returns:
        The stack, and a note for what was added.

    Raises:
        UnsatisfiableError: there is no such backend for that Keras, or several could be meant.
    """
    notes: list[str] = []
    if asked.backend is None and asked.keras is not None and asked.tensorflow is None:
        present = [name for name in ("torch", "jax") if getattr(asked, name) is not None]
        if len(present) > 1:
            raise conflicts.explain_ambiguous_backend(asked.keras)
        if present:
            asked = replace(asked, backend=present[0])
            notes.append(
                f"Keras runs on {TITLES[present[0]]}, the framework of the profile ({BACKEND}={present[0]})."
            )
    if asked.backend is None:
        return asked, notes
    if asked.keras is not None and means_keras_2(SpecifierSet(asked.keras), table):
        raise conflicts.explain_keras_2_backend(asked.keras, asked.backend)
    backend = asked.backend
    if getattr(asked, backend) is None:
        asked = replace(asked, **{backend: f">={find_least_backend(asked, table)}"})
        notes.append(f"{TITLES[backend]}: any that fits, because Keras' backend is {backend}.")
    return asked, notes


def require_framework(asked: FrameworkRequest, lines: tuple[str, ...]) -> None:
    """Refuse a Keras that has nothing to run on.

    Args:
        asked: the profile's stack, completed.
        lines: the profile's own requirements, which may bring a framework.

    Raises:
        UnsatisfiableError: there is none.
    """
    named = {canonicalize_name(Requirement(line).name) for line in lines}
    in_stack = any(getattr(asked, name) is not None for name in TITLES)
    if asked.keras is not None and not in_stack and not named & _FRAMEWORKS:
        raise conflicts.explain_keras_alone(asked.keras)


def _newest(asked: FrameworkRequest, table: Table) -> str:
    """The newest known Keras 3 that the profile admits."""
    allowed = SpecifierSet(asked.keras or "")
    known_ones = [release for release in table.keras if release in table.backends]
    admitted = [release for release in known_ones if allowed.contains(release)]
    # A release that came after the table was read is like the newest in it.
    return admitted[-1] if admitted else (known_ones or list(table.backends))[-1]


def find_least_backend(asked: FrameworkRequest, table: Table) -> str:
    """The least release of its backend that the profile's Keras takes."""
    return table.backends[_newest(asked, table)][asked.backend or "tensorflow"]


def find_keras_repairs(asked: FrameworkRequest, table: Table) -> list[Repair]:
    """What the profile's Keras needs its backend held to."""
    if asked.backend is None:
        return []
    keras = _newest(asked, table)
    return [
        repair
        for repair in table.repairs
        if repair.framework == "keras"
        and repair.releases.contains(keras)
        and Requirement(repair.constraint).name == asked.backend
    ]


def require_backend(
    asked: FrameworkRequest, admitted: list[TorchOrJaxRelease], table: Table
) -> list[TorchOrJaxRelease]:
    """Those releases of the backend that the profile's Keras runs on.

    Args:
        asked: the profile's stack, completed; its backend is "torch" or "jax".
        admitted: the releases that the profile admits, oldest first.
        table: the facts.

    Raises:
        UnsatisfiableError: there is none.
    """
    least = Version(find_least_backend(asked, table))
    held = find_keras_repairs(asked, table)
    fitting = [
        release
        for release in admitted
        if Version(release.version) >= least
        and all(Requirement(repair.constraint).specifier.contains(release.version) for repair in held)
    ]
    if not fitting:
        own = [str(Requirement(repair.constraint).specifier) for repair in held]
        wanted = ",".join([f">={least}", *own])
        raise conflicts.explain_backend_mismatch(
            _newest(asked, table), admitted[-1], wanted, [one.why for one in held]
        )
    return fitting


def require_keras_3(releases: list[TensorFlowRelease], asked: FrameworkRequest) -> list[TensorFlowRelease]:
    """Those releases of TensorFlow whose Keras knows backends.

    Raises:
        UnsatisfiableError: there is none.
    """
    if asked.backend is None:
        return releases
    fitting = [release for release in releases if has_keras_3(release)]
    if releases and not fitting:
        raise conflicts.explain_tensorflow_keras_2(releases[-1].line, asked.backend)
    return fitting
