"""Select the newest release of each framework that fits the profile and the other frameworks. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from packaging.specifiers import SpecifierSet

from colabenv.frameworks import combinations, conflicts, keras
from colabenv.frameworks.combinations import FrameworkRelease
from colabenv.frameworks.facts import Table, TensorFlowRelease, TorchOrJaxRelease
from colabenv.frameworks.request import FrameworkRequest
from colabenv.host.interpreters import minor_version


@dataclass(frozen=True)
class Selection:
    """The releases that the rules assume; the resolver may choose a later patch release.

    Attributes:
        members: the releases, TensorFlow first; without those that are not in the table.
        python: the newest minor that all have wheels for; "" if there are none.
        tensorflow: the facts of the TensorFlow release, or None.
        others: the facts of the PyTorch and JAX releases.
        pairing_constraints: constraints that keep several frameworks on lines with compatible CUDA wheels.
    """

    members: tuple[FrameworkRelease, ...] = ()
    python: str = ""
    tensorflow: TensorFlowRelease | None = None
    others: tuple[TorchOrJaxRelease, ...] = ()
    pairing_constraints: tuple[str, ...] = ()

    def find(self, framework: str) -> FrameworkRelease | None:
        """The release of a framework, or None."""
        return next((member for member in self.members if member.framework == framework), None)


def select_releases(request: FrameworkRequest, variant: str, table: Table) -> Selection:
    """Select a release of each framework.

    Args:
        request: the profile's frameworks, with their backend.
        variant: "cpu" or "gpu".
        table: the facts.

    Raises:
        UnsatisfiableError: no release that the profile allows has wheels for its Python, or works with its Keras and
            its other frameworks.
    """
    releases = {
        name: _find_candidates(name, request, variant, table) for name in ("tensorflow", "torch", "jax")
    }
    candidates = {name: installations for name, installations in releases.items() if installations}
    if not candidates:
        return Selection()
    combination = combinations.choose_combination(candidates, request.minor)
    if combination is None:
        raise conflicts.explain_conflict(candidates, variant, request.minor, table)
    members, python = combination
    versions = {member.framework: member.version for member in members}
    need_pairing = variant == "gpu" and len(versions) > 1
    return Selection(
        members,
        python,
        next((release for release in table.releases if release.version == versions.get("tensorflow")), None),
        tuple(
            other
            for name in ("torch", "jax")
            for other in table.others(name)
            if other.version == versions.get(name)
        ),
        tuple(f"{member.framework}=={member.line}.*" for member in members) if need_pairing else (),
    )


def _find_candidates(
    framework: str, request: FrameworkRequest, variant: str, table: Table
) -> tuple[FrameworkRelease, ...]:
    """The ways to install the releases that the profile allows, the preferred one first.

    Empty if the profile does not request the framework, or only releases that are not in the table.
    """
    specifier = getattr(request, framework)
    if specifier is None:
        return ()
    if framework == "tensorflow":
        releases = select_tensorflow(specifier, request.python, request.keras, table)
        if request.backend:
            releases = keras.require_keras_3(releases, request)
        return tuple(combinations.describe_tensorflow(release, variant) for release in reversed(releases))
    others = _select_others(framework, specifier, request, table)
    installations = tuple(
        installation
        for other in reversed(others)
        for installation in combinations.list_installations(other, variant, table)
    )
    if others and not installations:
        raise conflicts.explain_missing_gpu_wheels(others[-1], table)
    return installations


def _select_others(
    framework: str, specifier: str, request: FrameworkRequest, table: Table
) -> list[TorchOrJaxRelease]:
    """The releases of PyTorch or JAX that fit the profile, oldest first.

    Raises:
        UnsatisfiableError: those that it allows have no wheels for its Python, or its Keras does not run on them.
    """
    known = table.others(framework)
    # A build with a local version, such as 2.6.0+cpu, has the facts of the release without it.
    public = SpecifierSet(",".join(str(clause).partition("+")[0] for clause in SpecifierSet(specifier)))
    allowed = [release for release in known if public.contains(release.version)]
    if allowed and request.backend == framework:
        allowed = keras.require_backend(request, allowed, table)
    if not allowed or request.python is None:
        return allowed
    fitting = [release for release in allowed if request.minor in release.pythons]
    if not fitting:
        raise conflicts.explain_missing_wheels(framework, allowed[-1], request.python, known)
    return fitting


def select_tensorflow(
    specifier: str, python: str | None, keras_specifier: str | None, table: Table
) -> list[TensorFlowRelease]:
    """The releases of TensorFlow that fit the profile, oldest first; empty if none that it allows is in the table.

    Args:
        specifier: PEP 440, such as "==2.15.*".
        python: the profile's Python, or None.
        keras_specifier: the profile's Keras as a PEP 440 specifier, or None.
        table: the facts.

    Raises:
        UnsatisfiableError: no allowed release in the table has wheels for that Python, or none accepts that Keras.
    """
    specifiers = SpecifierSet(specifier)
    # A patch release newer than the table has the facts of its line.
    allowed = [release for release in table.releases if specifiers.contains(release.version)] or [
        release
        for release in table.releases
        if any(specifiers.contains(f"{release.line}.{patch}") for patch in range(10))
    ]
    if allowed and python is not None:
        minor = minor_version(python)
        fitting = [release for release in allowed if minor in release.pythons]
        if not fitting:
            raise conflicts.explain_missing_wheels("tensorflow", allowed[-1], python, table.releases)
        allowed = fitting
    if not allowed or keras_specifier is None:
        return allowed
    matches = [keras.match_keras(release, keras_specifier, table) for release in allowed]
    for wanted in ({"own", "separate"}, {"legacy"}):
        if wanted & set(matches):
            return [release for release, match in zip(allowed, matches, strict=True) if match in wanted]
    working = [release for release in table.releases if keras.match_keras(release, keras_specifier, table)]
    raise conflicts.explain_keras_mismatch(allowed[-1], keras_specifier, working)
