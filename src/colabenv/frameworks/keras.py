"""Keras: which release works with which framework, and its backend. Pure."""

from __future__ import annotations

from collections.abc import Sequence
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
#: The variable that sets the backend of Keras 3, by default TensorFlow.
BACKEND = "KERAS_BACKEND"
#: The first TensorFlow whose own Keras has its version; before, that is 2.2.4 or 2.3.0.
_FIRST_WITH_OWN_VERSION = Version("2.4")
#: Distributions that Keras can run on.
_FRAMEWORKS = frozenset(
    {"tensorflow", "tensorflow-cpu", "tensorflow-rocm", "tf-nightly", "torch", "jax", "openvino"}
)


def match_keras(release: TensorFlowRelease, keras: str, table: Table) -> str:
    """How a release of TensorFlow can use the profile's Keras.

    Returns:
        "own" if it accepts that Keras, "separate" if that is a package beside it, "legacy" if it uses that Keras 2
        as tf-keras, "" if it cannot use it.
    """
    allowed = SpecifierSet(keras)
    declared = release.takes("keras")
    if declared is None:
        # Up to 2.5, TensorFlow requires no Keras. It contains one, which has its version from 2.4 on.
        if find_separate_keras(release, allowed, table):
            return "separate"
        is_own = Version(release.version) >= _FIRST_WITH_OWN_VERSION
        return (
            "own"
            if is_own and any(allowed.contains(f"{release.line}.{patch}") for patch in range(10))
            else ""
        )
    if any(map(declared.contains, list_releases(allowed, table))):
        return "own"
    has_line = any(pairing.tensorflow.contains(release.version) for pairing in table.companions["tf-keras"])
    return "legacy" if means_keras_2(allowed, table) and has_keras_3(release) and has_line else ""


def find_separate_keras(release: TensorFlowRelease, allowed: SpecifierSet, table: Table) -> str:
    """The newest Keras in a range that runs beside a TensorFlow which requires none, or ""."""
    fitting = [
        version
        for pairing in table.companions.get("keras", ())
        if pairing.tensorflow.contains(release.version)
        for version in pairing.releases
        if allowed.contains(version)
    ]
    return fitting[-1] if fitting and release.takes("keras") is None else ""


def has_keras_3(release: TensorFlowRelease) -> bool:
    """Whether a release of TensorFlow ships Keras 3."""
    declared = release.takes("keras")
    return declared is not None and declared.contains("3.99")


def means_keras_2(allowed: SpecifierSet, table: Table) -> bool:
    """Whether a range allows Keras 2 and nothing else."""
    return {Version(release).major for release in list_releases(allowed, table)} == {2}


def list_releases(allowed: SpecifierSet, table: Table) -> list[str]:
    """The releases in a range: known ones, later minors of Keras 3 that may exist by now, and pinned ones."""
    newest = Version(table.keras[-1])
    later = [f"{newest.major}.{minor}.0" for minor in range(newest.minor + 1, newest.minor + 40)]
    pins = [
        clause.version
        for clause in allowed
        if clause.operator == "==" and not clause.version.endswith("*") and Version(clause.version) > newest
    ]
    return list(filter(allowed.contains, (*table.keras, *later, *pins)))


def derive_keras(
    release: TensorFlowRelease | None, request: FrameworkRequest, table: Table
) -> tuple[list[str], tuple[tuple[str, str], ...], list[str]]:
    """Requirements, variables and notes for the profile's Keras.

    Args:
        release: the release of TensorFlow, or None.
        request: the profile's frameworks, as `complete_request` returns them.
        table: the facts.
    """
    variables = ((BACKEND, request.backend),) if request.backend else ()
    if release is None:
        specifier = request.keras or (">=3" if request.backend else None)
        return [f"keras{specifier}"] if specifier else [], variables, []
    if request.keras is None:
        return [], variables, []
    separate = find_separate_keras(release, SpecifierSet(request.keras), table)
    if separate:
        # Without the limit, a range would give a later Keras, which needs another TensorFlow.
        limit = f",<={separate}" if list_releases(SpecifierSet(request.keras), table)[-1] != separate else ""
        note = (
            f"Keras {separate} is a package beside {release.title}, for `import keras`. tensorflow.keras is part of "
            f"{release.title}."
        )
        return [f"keras{request.keras}{limit}"], variables, [note]
    if release.takes("keras") is None:
        return [], (), [f"Keras is part of {release.title}; no other Keras is installed."]
    if match_keras(release, request.keras, table) == "own":
        return [f"keras{request.keras}"], variables, []
    note = (
        f"{release.title} ships Keras 3. Keras 2 is installed as tf-keras {release.line}, and {LEGACY_KERAS}=1 makes "
        "tensorflow.keras use it."
    )
    return [f"tf-keras=={release.line}.*"], ((LEGACY_KERAS, "1"),), [note]


def complete_request(request: FrameworkRequest, table: Table) -> tuple[FrameworkRequest, list[str]]:
    """Add the backend that the frameworks imply, and the framework of the backend.

    Returns:
        The frameworks, and notes about what was added.

    Raises:
        UnsatisfiableError: the Keras has no backends, or it could run on several frameworks.
    """
    notes: list[str] = []
    if request.backend is None and request.keras is not None and request.tensorflow is None:
        present = [name for name in ("torch", "jax") if getattr(request, name) is not None]
        if len(present) > 1:
            raise conflicts.explain_ambiguous_backend(request.keras)
        if present:
            request = replace(request, backend=present[0])
            notes.append(
                f"Keras runs on {TITLES[present[0]]}, the framework of the profile ({BACKEND}={present[0]})."
            )
    backend = request.backend
    if backend is None:
        return request, notes
    if request.keras is not None and means_keras_2(SpecifierSet(request.keras), table):
        raise conflicts.explain_keras_2_backend(request.keras, backend)
    if getattr(request, backend) is None:
        request = replace(request, **{backend: f">={_find_minimum_backend(request, table)}"})
        notes.append(f"{TITLES[backend]}: any release that fits, because the backend of Keras is {backend}.")
    return request, notes


def require_framework(request: FrameworkRequest, lines: Sequence[str]) -> None:
    """Refuse a Keras without a framework to run on.

    Args:
        request: the profile's frameworks, as `complete_request` returns them.
        lines: the profile's own requirements, which may contain a framework.

    Raises:
        UnsatisfiableError: neither has one.
    """
    named = {canonicalize_name(Requirement(line).name) for line in lines}
    in_stack = any(getattr(request, name) is not None for name in TITLES)
    if request.keras is not None and not in_stack and not named & _FRAMEWORKS:
        raise conflicts.explain_keras_alone(request.keras)


def _find_newest(request: FrameworkRequest, table: Table) -> str:
    """The newest known Keras 3 that the profile allows."""
    allowed = SpecifierSet(request.keras or "")
    known = [release for release in table.keras if release in table.backends] or list(table.backends)
    # A release that is newer than the table is like the newest in it.
    return next((release for release in reversed(known) if allowed.contains(release)), known[-1])


def _find_minimum_backend(request: FrameworkRequest, table: Table) -> str:
    """The minimum release of its backend for the profile's Keras."""
    return table.backends[_find_newest(request, table)][request.backend or "tensorflow"]


def find_keras_repairs(request: FrameworkRequest, table: Table) -> list[Repair]:
    """The constraints on its backend that the profile's Keras needs."""
    if request.backend is None:
        return []
    keras = _find_newest(request, table)
    return [
        repair
        for repair in table.repairs
        if repair.framework == "keras"
        and repair.releases.contains(keras)
        and Requirement(repair.constraint).name == request.backend
    ]


def constrain_separate_keras(
    release: TensorFlowRelease, request: FrameworkRequest, table: Table
) -> list[str]:
    """The constraints of a Keras beside TensorFlow: the line of TensorFlow, which that Keras does not declare."""
    separate = find_separate_keras(release, SpecifierSet(request.keras), table) if request.keras else ""
    if not separate:
        return []
    repairs = [
        repair
        for repair in table.repairs
        if repair.framework == "keras" and repair.releases.contains(separate)
    ]
    return [f"tensorflow=={release.line}.*", *(repair.constraint for repair in repairs)]


def require_backend(
    request: FrameworkRequest, allowed: list[TorchOrJaxRelease], table: Table
) -> list[TorchOrJaxRelease]:
    """The releases of the backend that the profile's Keras runs on.

    Args:
        request: the profile's frameworks, as `complete_request` returns them; the backend is "torch" or "jax".
        allowed: the releases that the profile allows, oldest first.
        table: the facts.

    Raises:
        UnsatisfiableError: there is none.
    """
    repairs = find_keras_repairs(request, table)
    limits = [str(Requirement(repair.constraint).specifier) for repair in repairs]
    wanted = ",".join([f">={_find_minimum_backend(request, table)}", *limits])
    fitting = [release for release in allowed if SpecifierSet(wanted).contains(release.version)]
    if not fitting:
        reasons = [repair.why for repair in repairs]
        raise conflicts.explain_backend_mismatch(_find_newest(request, table), allowed[-1], wanted, reasons)
    return fitting


def require_keras_3(releases: list[TensorFlowRelease], request: FrameworkRequest) -> list[TensorFlowRelease]:
    """The releases of TensorFlow whose Keras has backends.

    Raises:
        UnsatisfiableError: there is none.
    """
    fitting = [release for release in releases if has_keras_3(release)]
    if releases and not fitting and request.backend:
        raise conflicts.explain_tensorflow_keras_2(releases[-1].line, request.backend)
    return fitting
