"""The newest release of each framework that suits the profile and the other frameworks. Pure."""

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
    """The releases that the rules assume; the resolver may take a later patch release.

    Attributes:
        members: what is installed, TensorFlow first; without frameworks that the table does not know.
        python: the newest minor that they share; "" where there are none.
        tensorflow: the facts of TensorFlow's release, or None.
        others: the facts of PyTorch's and JAX' releases.
        pairing_constraints: on a GPU, what keeps several frameworks on lines whose CUDA wheels agree.
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
        UnsatisfiableError: nothing that the profile admits has wheels for its Python, or works with the Keras or the
            other frameworks that it asks for.
    """
    every = {name: _find_candidates(name, request, variant, table) for name in ("tensorflow", "torch", "jax")}
    candidates = {name: releases for name, releases in every.items() if releases}
    if not candidates:
        return Selection()
    combination = combinations.choose_combination(candidates, request.minor)
    if combination is None:
        raise conflicts.explain_conflict(candidates, variant, request.minor, table)
    members, python = combination
    versions = {member.framework: member.version for member in members}
    several = variant == "gpu" and len(versions) > 1
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
        tuple(f"{member.framework}=={member.line}.*" for member in members) if several else (),
    )


def _find_candidates(
    framework: str, request: FrameworkRequest, variant: str, table: Table
) -> tuple[FrameworkRelease, ...]:
    """The ways to install the releases that the profile admits, the preferred one first.

    None where it does not ask for that framework, or for a release that the table does not know.
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
    """The releases of PyTorch or JAX that the profile admits, oldest first.

    Raises:
        UnsatisfiableError: they have no wheels for its Python, or its Keras does not run on them.
    """
    known = table.others(framework)
    # A build with a local version, "2.6.0+cpu", is like the release it is built from.
    public = SpecifierSet(",".join(str(clause).partition("+")[0] for clause in SpecifierSet(specifier)))
    admitted = [release for release in known if public.contains(release.version)]
    if admitted and request.backend == framework:
        admitted = keras.require_backend(request, admitted, table)
    if not admitted or request.python is None:
        return admitted
    fitting = [release for release in admitted if request.minor in release.pythons]
    if not fitting:
        raise conflicts.explain_missing_wheels(framework, admitted[-1], request.python, known)
    return fitting


def select_tensorflow(
    specifier: str, python: str | None, keras_specifier: str | None, table: Table
) -> list[TensorFlowRelease]:
    """The known releases of TensorFlow that suit the profile, oldest first; none for one that the table does not know.

    Args:
        specifier: PEP 440, such as "==2.15.*".
        python: the profile's, or None.
        keras_specifier: PEP 440 specifier, or None.
        table: the facts.

    Raises:
        UnsatisfiableError: the profile admits known releases, but none has wheels for that Python or takes that Keras.
    """
    allowed = SpecifierSet(specifier)
    # A patch release newer than the table is like the others of its line.
    admitted = [release for release in table.releases if allowed.contains(release.version)] or [
        release
        for release in table.releases
        if any(allowed.contains(f"{release.line}.{patch}") for patch in range(10))
    ]
    if admitted and python is not None:
        minor = minor_version(python)
        fitting = [release for release in admitted if minor in release.pythons]
        if not fitting:
            raise conflicts.explain_missing_wheels("tensorflow", admitted[-1], python, table.releases)
        admitted = fitting
    if not admitted or keras_specifier is None:
        return admitted
    sources = [keras.match_keras(release, keras_specifier, table) for release in admitted]
    for wanted in ("own", "legacy"):
        if wanted in sources:
            return [release for release, source in zip(admitted, sources, strict=True) if source == wanted]
    working = [release for release in table.releases if keras.match_keras(release, keras_specifier, table)]
    raise conflicts.explain_keras_mismatch(admitted[-1], keras_specifier, working)
