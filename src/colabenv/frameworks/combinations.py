"""Which releases of several frameworks work together, by the requirements that they declare. Pure."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from colabenv.frameworks.facts import TITLES, Table, TensorFlowRelease, TorchOrJaxRelease
from colabenv.host.interpreters import minor_version

#: NVIDIA's wheels for CUDA 11, 12 and 13 have different names, and many install into the same folder.
_GENERATION = re.compile(r"^(nvidia-.+)-cu(\d+)$")
#: If several requirements conflict, the one that comes first here is reported.
_WELL_KNOWN = ("nvidia-cudnn", "nvidia-cuda-runtime", "nvidia-cublas", "numpy")


@dataclass(frozen=True)
class FrameworkRelease:
    """A release of a framework as it would be installed.

    Attributes:
        framework: "tensorflow", "torch" or "jax".
        version: "2.6.0".
        pythons: minors of CPython with wheels, lowest first.
        needs: its requirements, PEP 508, including NVIDIA's wheels that are installed with it.
        extra: the extra to request, or "".
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
        return minor_version(self.version)

    @property
    def title(self) -> str:
        """Name and line, such as "PyTorch 2.6"; for JAX the full version, because a line has too many releases."""
        return f"{TITLES[self.framework]} {self.version if self.framework == 'jax' else self.line}"


@dataclass(frozen=True)
class Clash:
    """Why two releases do not work together.

    Attributes:
        first: a requirement of the first release; "" if no Python has wheels for both.
        second: the requirement of the second release that excludes it.
    """

    first: str = ""
    second: str = ""


def describe_tensorflow(release: TensorFlowRelease, variant: str) -> FrameworkRelease:
    """A release of TensorFlow as it would be installed in a variant."""
    wheels = (release.cuda_pins or release.extra) if variant == "gpu" else ()
    needs = (*release.needs, *release.build.repairs, *wheels)
    return FrameworkRelease(
        "tensorflow", release.version, release.pythons, needs, cuda=release.cuda if wheels else ""
    )


def list_installations(
    release: TorchOrJaxRelease, variant: str, table: Table
) -> tuple[FrameworkRelease, ...]:
    """The ways to install a release of PyTorch or JAX, the preferred one first; for "gpu", none without GPU wheels."""
    extras = release.cuda if variant == "gpu" or "" in release.cuda else {"cpu": ((), "")}
    needs = (*release.needs, *find_repairs(release, table))
    return tuple(
        FrameworkRelease(release.framework, release.version, release.pythons, (*needs, *wheels), extra, cuda)
        for extra, (wheels, cuda) in extras.items()
    )


def choose_combination(
    candidates: Mapping[str, tuple[FrameworkRelease, ...]], python: str | None
) -> tuple[tuple[FrameworkRelease, ...], str] | None:
    """Choose the newest releases that work together.

    Args:
        candidates: the releases of each framework, the preferred one first.
        python: the minor to use; None for the newest that all have wheels for.

    Returns:
        The releases and the minor, or None if none work together.
    """
    for members in itertools.product(*candidates.values()):
        for minor in [python] if python else reversed(_find_common_pythons(members)):
            if not any(_find_clash_on(*pair, minor) for pair in itertools.combinations(members, 2)):
                return members, minor
    return None


def _find_common_pythons(members: Sequence[FrameworkRelease]) -> list[str]:
    """The minors that all releases have wheels for, lowest first."""
    return [python for python in members[0].pythons if all(python in other.pythons for other in members[1:])]


def find_clash(first: FrameworkRelease, second: FrameworkRelease, python: str | None = None) -> Clash | None:
    """Why two releases do not work together on a Python, by default on any; None if they do."""
    pythons = [python] if python else _find_common_pythons((first, second))
    clashes = [_find_clash_on(first, second, minor) for minor in pythons]
    if not clashes:
        return Clash()
    return None if None in clashes else clashes[-1]


@functools.cache
def _find_clash_on(first: FrameworkRelease, second: FrameworkRelease, python: str) -> Clash | None:
    """Why two releases do not work together on a Python that both have wheels for."""
    first_needs, second_needs = _parse_needs(first, python), _parse_needs(second, python)
    clashes = [
        Clash(f"{name}{specifier}", f"{other}{other_specifier}")
        for stem in first_needs.keys() & second_needs.keys()
        for (name, specifier), (other, other_specifier) in itertools.product(
            first_needs[stem].items(), second_needs[stem].items()
        )
        # Wheels for two generations of CUDA install into one folder.
        if (name != other and _GENERATION.match(name) and _GENERATION.match(other))
        or (name == other and not is_satisfiable(specifier & other_specifier))
    ]
    return min(clashes, key=_rank_clash) if clashes else None


def _rank_clash(clash: Clash) -> tuple[int, str]:
    ranks = [rank for rank, name in enumerate(_WELL_KNOWN) if clash.first.startswith(name)]
    return (min(ranks, default=len(_WELL_KNOWN)), clash.first)


@functools.cache
def _parse_needs(release: FrameworkRelease, python: str) -> dict[str, dict[str, SpecifierSet]]:
    """What a release requires on a Python: ranges by name, grouped by the name without its CUDA generation."""
    needs: dict[str, dict[str, SpecifierSet]] = {}
    for requirement in map(_parse_requirement, release.needs):
        if not _marker_matches(requirement.marker, python):
            continue
        name = str(canonicalize_name(requirement.name))
        generation = _GENERATION.match(name)
        ranges = needs.setdefault(generation[1] if generation else name, {})
        ranges[name] = ranges.get(name, SpecifierSet()) & requirement.specifier
    return needs


_parse_requirement = functools.cache(Requirement)


def _marker_matches(marker: Marker | None, python: str) -> bool:
    return marker is None or marker.evaluate({"python_version": python, "python_full_version": f"{python}.0"})


@functools.cache
def is_satisfiable(specifier: SpecifierSet) -> bool:
    """Whether some version can satisfy a range.

    It is enough to try the versions that the range names, and those directly after them.
    """
    named = [part.version.removesuffix(".*") for part in specifier]
    return not named or any(
        specifier.contains(version, prereleases=False)
        for text in named
        for version in (text, f"{text}.0.1", f"{text}.1", "0")
    )


def find_compatible(
    release: FrameworkRelease, variant: str, framework: str, table: Table
) -> list[FrameworkRelease]:
    """The releases of another framework that work together with a release, oldest first."""
    return [other for other in list_all(framework, variant, table) if find_clash(release, other) is None]


def list_all(framework: str, variant: str, table: Table) -> list[FrameworkRelease]:
    """Every known release of a framework for a variant, oldest first, once for each way to install it."""
    if framework == "tensorflow":
        return [
            describe_tensorflow(release, variant)
            for release in table.releases
            if release.pythons and not (variant == "gpu" and release.build.gpu_trouble)
        ]
    return [
        member
        for release in table.others(framework)
        for member in list_installations(release, variant, table)
    ]


def find_repairs(release: TorchOrJaxRelease, table: Table) -> tuple[str, ...]:
    """The constraints that a release of PyTorch or JAX needs today."""
    return tuple(
        repair.constraint
        for repair in table.repairs
        if repair.framework == release.framework and repair.releases.contains(release.version)
    )
