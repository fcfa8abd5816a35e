"""Which releases of several frameworks work in one environment, from what each declares. Pure."""

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
#: Where several requirements exclude each other, the best known comes first.
_WELL_KNOWN = ("nvidia-cudnn", "nvidia-cuda-runtime", "nvidia-cublas", "numpy")


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
        return minor_version(self.version)

    @property
    def title(self) -> str:
        """Name and line: "PyTorch 2.6"; a line of JAX is too long to say enough."""
        return f"{TITLES[self.framework]} {self.version if self.framework == 'jax' else self.line}"


@dataclass(frozen=True)
class Clash:
    """Why two releases do not work together.

    Attributes:
        first: a requirement of the first; "" where they have no Python in common.
        second: the requirement of the second that excludes it.
    """

    first: str = ""
    second: str = ""


def describe_tensorflow(release: TensorFlowRelease, variant: str) -> FrameworkRelease:
    """A release of TensorFlow in a variant."""
    wheels = (release.cuda_pins or release.extra) if variant == "gpu" else ()
    needs = (*release.needs, *release.build.repairs, *wheels)
    return FrameworkRelease(
        "tensorflow", release.version, release.pythons, needs, cuda=release.cuda if wheels else ""
    )


def list_installations(
    release: TorchOrJaxRelease, variant: str, table: Table
) -> tuple[FrameworkRelease, ...]:
    """The ways to install a release of PyTorch or JAX, the preferred one first; none on a GPU without GPU wheels."""
    ways = release.cuda if variant == "gpu" or "" in release.cuda else {"cpu": ((), "")}
    needs = (*release.needs, *find_repairs(release, table))
    return tuple(
        FrameworkRelease(release.framework, release.version, release.pythons, (*needs, *wheels), extra, cuda)
        for extra, (wheels, cuda) in ways.items()
    )


def choose_combination(
    candidates: Mapping[str, tuple[FrameworkRelease, ...]], python: str | None
) -> tuple[tuple[FrameworkRelease, ...], str] | None:
    """Choose the newest releases that agree.

    Args:
        candidates: framework to its releases, the preferred one first.
        python: the minor to use; None for the newest that they share.

    Returns:
        The releases and the minor, or None where none agree.
    """
    for members in itertools.product(*candidates.values()):
        for minor in [python] if python else reversed(_find_common_pythons(members)):
            if not any(_find_clash_on(*pair, minor) for pair in itertools.combinations(members, 2)):
                return members, minor
    return None


def _find_common_pythons(members: Sequence[FrameworkRelease]) -> list[str]:
    """The minors that all of them have wheels for, lowest first."""
    return [python for python in members[0].pythons if all(python in other.pythons for other in members[1:])]


def find_clash(first: FrameworkRelease, second: FrameworkRelease, python: str | None = None) -> Clash | None:
    """Why two releases do not work together, on that Python or any that they share; None where they do on some."""
    pythons = [python] if python else _find_common_pythons((first, second))
    clashes = [_find_clash_on(first, second, minor) for minor in pythons]
    if not clashes:
        return Clash()
    return None if None in clashes else clashes[-1]


@functools.cache
def _find_clash_on(first: FrameworkRelease, second: FrameworkRelease, python: str) -> Clash | None:
    """Why two releases do not work together on one Python, which both have wheels for."""
    ours, theirs = _parse_needs(first, python), _parse_needs(second, python)
    clashes = [
        Clash(f"{name}{specifier}", f"{other}{other_specifier}")
        for stem in ours.keys() & theirs.keys()
        for (name, specifier), (other, other_specifier) in itertools.product(
            ours[stem].items(), theirs[stem].items()
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
    """What a release requires on a Python: name without its CUDA generation, to name, to range."""
    needs: dict[str, dict[str, SpecifierSet]] = {}
    for requirement in map(_parse_requirement, release.needs):
        if not _counts(requirement.marker, python):
            continue
        name = str(canonicalize_name(requirement.name))
        generation = _GENERATION.match(name)
        ranges = needs.setdefault(generation[1] if generation else name, {})
        ranges[name] = ranges.get(name, SpecifierSet()) & requirement.specifier
    return needs


_parse_requirement = functools.cache(Requirement)


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
    release: FrameworkRelease, variant: str, framework: str, table: Table
) -> list[FrameworkRelease]:
    """The releases of another framework that work together with a release, oldest first."""
    return [other for other in list_all(framework, variant, table) if find_clash(release, other) is None]


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
        for member in list_installations(release, variant, table)
    ]


def find_repairs(release: TorchOrJaxRelease, table: Table) -> tuple[str, ...]:
    """The constraints that a release of PyTorch or JAX needs today."""
    return tuple(
        repair.constraint
        for repair in table.repairs
        if repair.framework == release.framework and repair.releases.contains(release.version)
    )
