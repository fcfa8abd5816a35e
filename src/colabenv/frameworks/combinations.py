"""Frameworks in one environment: which of their releases agree, from what each declares. Pure."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from colabenv.frameworks.facts import TITLES, Table, TensorFlowRelease, TorchOrJaxRelease

#: NVIDIA's wheels of CUDA 11, 12 and 13 have names of their own, and many lie in one folder all the same.
_GENERATION = re.compile(r"^(nvidia-.+)-cu(\d+)$")
#: What a person knows best comes first where several requirements exclude each other.
_TELLING = ("nvidia-cudnn", "nvidia-cuda-runtime", "nvidia-cublas", "numpy")


@dataclass(frozen=True)
class FrameworkRelease:
    """A release of a framework as it would be installed.

    Attributes:
        framework: "tensorflow", "torch" or "jax".
        version: "2.6.0".
        pythons: minors of CPython with wheels, lowest first.
        needs: what it requires, NVIDIA's wheels included where they come with it; PEP 508.
        extra: the extra to ask for, or "".
        cuda: release of the CUDA runtime among its wheels, or "".
    """

    framework: str
    version: str
    pythons: tuple[str, ...]
    needs: tuple[str, ...]
    extra: str = ""
    cuda: str = ""

    @property
    def line(self) -> str:
        """The minor line, "2.6"."""
        version = Version(self.version)
        return f"{version.major}.{version.minor}"

    @property
    def title(self) -> str:
        """Name and line: "PyTorch 2.6"; a line of JAX is too long to say enough."""
        return f"{TITLES[self.framework]} {self.version if self.framework == 'jax' else self.line}"


@dataclass(frozen=True)
class Clash:
    """Why two releases do not go together.

    Attributes:
        one: a requirement of the first; "" where they have no Python in common.
        other: the requirement of the second that excludes it.
    """

    one: str = ""
    other: str = ""


@dataclass(frozen=True)
class Combination:
    """Releases that agree, and a Python for all of them."""

    members: tuple[FrameworkRelease, ...]
    python: str

    def of(self, framework: str) -> FrameworkRelease | None:
        """The release of a framework, or None where it is not among them."""
        return next((member for member in self.members if member.framework == framework), None)


def describe_tensorflow(release: TensorFlowRelease, variant: str) -> FrameworkRelease:
    """A release of TensorFlow in a variant."""
    wheels = (release.cuda_pins or release.extra) if variant == "gpu" else ()
    needs = (*release.needs, *release.build.repairs, *wheels)
    return FrameworkRelease(
        "tensorflow", release.version, release.pythons, needs, cuda=release.cuda if wheels else ""
    )


def list_installations(
    release: TorchOrJaxRelease, variant: str, repairs: tuple[str, ...] = ()
) -> tuple[FrameworkRelease, ...]:
    """The ways in which a release of PyTorch or JAX can be installed, the one to prefer first.

    There is none on a GPU where it has no wheels for one.

    Args:
        release: of PyTorch or JAX.
        variant: "cpu" or "gpu".
        repairs: constraints that it needs today.
    """
    ways = release.cuda if variant == "gpu" or "" in release.cuda else {"cpu": ((), "")}
    return tuple(
        FrameworkRelease(
            release.framework,
            release.version,
            release.pythons,
            (*release.needs, *repairs, *wheels),
            extra,
            cuda,
        )
        for extra, (wheels, cuda) in ways.items()
    )


def choose_combination(
    wanted: Mapping[str, tuple[FrameworkRelease, ...]], python: str | None
) -> Combination | None:
    """The newest releases that agree.

    Args:
        wanted: framework to its candidates, the one to prefer first.
        python: the minor to have; None for the newest that they have in common.

    Returns:
        A combination, or None where no candidates agree.
    """
    for members in itertools.product(*wanted.values()):
        for minor in [python] if python else reversed(find_common_pythons(members)):
            if not any(find_clash_on(one, other, minor) for one, other in itertools.combinations(members, 2)):
                return Combination(members, minor)
    return None


def find_common_pythons(members: Iterable[FrameworkRelease]) -> list[str]:
    """The minors that all of them have wheels for, lowest first."""
    sets = [member.pythons for member in members]
    return [python for python in sets[0] if all(python in pythons for pythons in sets[1:])] if sets else []


def find_clash(one: FrameworkRelease, other: FrameworkRelease, python: str | None = None) -> Clash | None:
    """Why two releases do not go together, on that Python or the newest they share; None where they do on some."""
    pythons = [python] if python else find_common_pythons((one, other))
    found = [find_clash_on(one, other, minor) for minor in pythons]
    if not found:
        return Clash()
    return None if None in found else found[-1]


@functools.cache
def find_clash_on(one: FrameworkRelease, other: FrameworkRelease, python: str) -> Clash | None:
    """The same for one Python, which both have wheels for."""
    own, theirs = _requirements(one, python), _requirements(other, python)
    found = [
        Clash(f"{mine[0]}{mine[1]}", f"{your[0]}{your[1]}")
        for stem in own.keys() & theirs.keys()
        for mine, your in itertools.product(own[stem].items(), theirs[stem].items())
        if (mine[0] != your[0] and _both_of_a_generation(mine[0], your[0]))
        or (mine[0] == your[0] and not is_satisfiable(mine[1] & your[1]))
    ]
    return min(found, key=_how_telling) if found else None


def _how_telling(found: Clash) -> tuple[int, str]:
    ranks = [rank for rank, name in enumerate(_TELLING) if found.one.startswith(name)]
    return (min(ranks, default=len(_TELLING)), found.one)


def _both_of_a_generation(one: str, other: str) -> bool:
    """Whether both names say which CUDA they are for, so that they lie in one folder."""
    return bool(_GENERATION.match(one) and _GENERATION.match(other))


@functools.cache
def _requirements(member: FrameworkRelease, python: str) -> dict[str, dict[str, SpecifierSet]]:
    """What a release requires on a Python: name without its CUDA generation, to name, to range."""
    found: dict[str, dict[str, SpecifierSet]] = {}
    for text in member.needs:
        requirement = _parsed(text)
        if not _counts(requirement.marker, python):
            continue
        name = str(canonicalize_name(requirement.name))
        generation = _GENERATION.match(name)
        same = found.setdefault(generation[1] if generation else name, {})
        same[name] = same.get(name, SpecifierSet()) & requirement.specifier
    return found


@functools.cache
def _parsed(text: str) -> Requirement:
    return Requirement(text)


def _counts(marker: Marker | None, python: str) -> bool:
    return marker is None or marker.evaluate({"python_version": python, "python_full_version": f"{python}.0"})


@functools.cache
def is_satisfiable(specifier: SpecifierSet) -> bool:
    """Whether some version can satisfy a range.

    Only the versions that it names, and what follows right after them, can decide that.
    """
    named = [part.version.removesuffix(".*") for part in specifier]
    return not named or any(
        specifier.contains(version, prereleases=False)
        for text in named
        for version in (text, f"{text}.0.1", f"{text}.1", "0")
    )


def find_compatible(
    wanted: FrameworkRelease, variant: str, framework: str, table: Table
) -> list[FrameworkRelease]:
    """Releases of another framework that go with a release, oldest first."""
    return [member for member in list_all(framework, variant, table) if find_clash(wanted, member) is None]


def list_all(framework: str, variant: str, table: Table) -> list[FrameworkRelease]:
    """Every known release of a framework that a variant can use, oldest first; once for each way to install it."""
    if framework == "tensorflow":
        return [
            describe_tensorflow(release, variant)
            for release in table.releases
            if release.pythons and not (variant == "gpu" and release.build.gpu_trouble)
        ]
    return [
        member
        for release in table.others(framework)
        for member in list_installations(release, variant, find_repairs(release, table))
    ]


def find_repairs(release: TorchOrJaxRelease, table: Table) -> tuple[str, ...]:
    """The constraints that a release of PyTorch or JAX needs today."""
    return tuple(
        repair.constraint
        for repair in table.repairs
        if repair.framework == release.framework and repair.releases.contains(release.version)
    )
