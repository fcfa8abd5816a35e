"""The releases that a profile means: the newest of each framework that suits it and the others. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from packaging.specifiers import SpecifierSet

from colabenv.frameworks import combinations, conflicts, keras, refusals
from colabenv.frameworks.combinations import FrameworkRelease
from colabenv.frameworks.facts import Table, TensorFlowRelease, TorchOrJaxRelease
from colabenv.frameworks.request import FrameworkRequest
from colabenv.host.interpreters import minor_version


@dataclass(frozen=True)
class Selection:
    """The releases that the rules reckon with; the resolver may take a later patch release.

    Attributes:
        members: what is installed, TensorFlow first; without frameworks that the table does not know.
        python: the newest minor that they share; "" where there are none.
        tensorflow: the facts of TensorFlow's release, or None.
        others: the facts of PyTorch's and JAX' releases.
        pairing_constraints: on a GPU, what keeps several frameworks on lines whose CUDA wheels agree.
    """

    members: tuple[FrameworkRelease, ...]
    python: str
    tensorflow: TensorFlowRelease | None
    others: tuple[TorchOrJaxRelease, ...]
    pairing_constraints: tuple[str, ...]

    def of(self, framework: str) -> FrameworkRelease | None:
        """The release of a framework, or None."""
        return next((member for member in self.members if member.framework == framework), None)


def select_releases(asked: FrameworkRequest, variant: str, table: Table) -> Selection:
    """Choose a release of each framework.

    Args:
        asked: the profile's stack, with its backend.
        variant: "cpu" or "gpu".
        table: the facts.

    Raises:
        UnsatisfiableError: nothing that the profile admits has wheels for its Python, or goes with the Keras or the
            other frameworks that it asks for.
    """
    wanted = {
        name: found
        for name in ("tensorflow", "torch", "jax")
        if (found := _candidates(name, asked, variant, table))
    }
    if not wanted:
        return Selection((), "", None, (), ())
    combination = combinations.choose_combination(wanted, asked.minor)
    if combination is None:
        raise conflicts.explain_conflict(wanted, variant, asked.minor, table)
    versions = {member.framework: member.version for member in combination.members}
    several = variant == "gpu" and len(versions) > 1
    return Selection(
        combination.members,
        combination.python,
        next((release for release in table.releases if release.version == versions.get("tensorflow")), None),
        tuple(
            other
            for name in ("torch", "jax")
            for other in table.others(name)
            if other.version == versions.get(name)
        ),
        tuple(f"{member.framework}=={member.line}.*" for member in combination.members) if several else (),
    )


def _candidates(
    framework: str, asked: FrameworkRequest, variant: str, table: Table
) -> tuple[FrameworkRelease, ...]:
    """The ways to install the releases that the profile admits, the one to prefer first.

    None where it wants none of that framework, or one that the table does not know.
    """
    specifier = getattr(asked, framework)
    if specifier is None:
        return ()
    if framework == "tensorflow":
        releases = select_tensorflow(specifier, asked.python, asked.keras, table)
        if asked.backend:
            releases = keras.require_keras_3(releases, asked)
        return tuple(combinations.describe_tensorflow(release, variant) for release in reversed(releases))
    others = _others(framework, specifier, asked, table)
    found = [
        way
        for other in reversed(others)
        for way in combinations.list_installations(other, variant, combinations.find_repairs(other, table))
    ]
    if others and not found:
        raise conflicts.explain_missing_gpu_wheels(others[-1], table)
    return tuple(found)


def _others(framework: str, specifier: str, asked: FrameworkRequest, table: Table) -> list[TorchOrJaxRelease]:
    """The releases of PyTorch or JAX that the profile admits, oldest first.

    Raises:
        UnsatisfiableError: they have no wheels for its Python, or its Keras does not run on them.
    """
    allowed = SpecifierSet(specifier)
    known = table.others(framework)
    # A build of one's own, "2.6.0+cpu", is like the release it is of.
    bare = SpecifierSet(",".join(str(part).partition("+")[0] for part in allowed))
    admitted = [release for release in known if bare.contains(release.version)]
    if not admitted:
        return []
    if asked.backend == framework:
        admitted = keras.require_backend(asked, admitted, table)
    if asked.python is None or asked.minor is None:
        return admitted
    fitting = [release for release in admitted if asked.minor in release.pythons]
    if not fitting:
        raise refusals.explain_missing_wheels(framework, admitted[-1], asked.python, known)
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
        return []
    if python is not None:
        minor = minor_version(python)
        fitting = [release for release in admitted if minor in release.pythons]
        if not fitting:
            raise refusals.explain_missing_wheels("tensorflow", admitted[-1], python, table.releases)
        admitted = fitting
    if keras_specifier is None:
        return admitted
    for way in ("own", "legacy"):
        fitting = [
            release for release in admitted if keras.match_keras(release, keras_specifier, table) == way
        ]
        if fitting:
            return fitting
    others = [release for release in table.releases if keras.match_keras(release, keras_specifier, table)]
    raise refusals.explain_keras_mismatch(admitted[-1], keras_specifier, others)
