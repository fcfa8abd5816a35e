"""Which TensorFlow the packages around it need: table.toml, companions.toml, and packages that have its number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from colabenv.frameworks.facts import Table, TensorFlowRelease
from colabenv.host.interpreters import minor_version
from colabenv.importers import distribution_names

#: Packages whose releases have the minor number of the TensorFlow that they belong to.
_SAME_NUMBER: Final = frozenset(
    {"tensorboard", "tensorflow-estimator", "tensorflow-serving-api", "tf-models-official"}
)

Allows = Callable[[TensorFlowRelease], bool]


def is_companion(name: str, table: Table) -> bool:
    """Whether a distribution belongs to TensorFlow, so that a source with it uses TensorFlow."""
    return name in table.companions or name in distribution_names.load_companions() or name in _SAME_NUMBER


def find_allowed(name: str, specifier: SpecifierSet, table: Table) -> Allows | None:
    """Tests whether a TensorFlow works with some release of a companion in a range; None if nothing is known."""
    if name in table.companions:
        return _allow_pairings(name, specifier, table)
    rows = distribution_names.load_companions().get(name, {})
    firsts = list(rows)
    fitting = [
        (rows[first]["tensorflow"], rows[first]["pythons"])
        for index, first in enumerate(firsts)
        if _may_contain(specifier, first, firsts[index + 1] if index + 1 < len(firsts) else "")
    ]
    if not specifier and fitting and _has_upper_bound(fitting[-1][0]):
        # Releases from before the package declared a limit would not work.
        fitting = [(needs, pythons) for needs, pythons in fitting if _has_upper_bound(needs)]
    if fitting and (name not in _SAME_NUMBER or any(needs for needs, _ in fitting)):
        return lambda release: any(
            SpecifierSet(needs).contains(release.version) and _share_python(release, pythons)
            for needs, pythons in fitting
        )
    pins = list_pins(specifier)
    if name in _SAME_NUMBER and pins:
        return lambda release: release.line == minor_version(f"{pins[0]}.0")
    return None


def _allow_pairings(name: str, specifier: SpecifierSet, table: Table) -> Allows:
    pairings = table.companions[name]
    pins = list_pins(specifier)
    requested = [
        pairing for pairing in pairings if not specifier or any(map(specifier.contains, pairing.releases))
    ]
    if not requested and pins:  # a yanked release, or one that the table does not have
        line = minor_version(f"{pins[0]}.0")
        same_line = [each for each in pairings if line in map(minor_version, each.releases)]
        older = [each for each in pairings if Version(each.releases[0]) <= Version(pins[0])]
        requested = same_line or older[-1:] or list(pairings[:1])
    return lambda release: (
        not requested
        or any(
            pairing.tensorflow.contains(release.version)
            and _share_python(release, pairing.pythons or ("any",))
            for pairing in requested
        )
    )


def _share_python(release: TensorFlowRelease, pythons: list[str] | tuple[str, ...]) -> bool:
    return "any" in pythons or bool(set(release.pythons) & set(pythons))


def _may_contain(specifier: SpecifierSet, first: str, following: str) -> bool:
    """Whether a range has releases from `first` up to the one before `following`."""
    if specifier.contains(first):
        return True
    return any(
        Version(first) <= Version(pin) and (not following or Version(pin) < Version(following))
        for pin in list_bounds(specifier)
    )


def _has_upper_bound(specifier: str) -> bool:
    return any(item.operator in ("<", "<=", "==", "~=") for item in SpecifierSet(specifier))


def list_pins(specifier: SpecifierSet) -> list[str]:
    """The versions of the `==` clauses, without `.*` and local versions; those that are not PEP 440 are left out."""
    return [
        version
        for item in specifier
        if item.operator in ("==", "===")
        and is_version(version := item.version.removesuffix(".*").partition("+")[0])
    ]


def list_bounds(specifier: SpecifierSet) -> list[str]:
    """The versions of pins and upper bounds that the range itself contains."""
    versions = [
        item.version.removesuffix(".*") for item in specifier if item.operator in ("==", "===", "<=", "~=")
    ]
    return [version for version in versions if is_version(version) and specifier.contains(version)]


def is_version(text: str) -> bool:
    """Whether a text is a PEP 440 version."""
    try:
        SpecifierSet(f"=={text}")
    except InvalidSpecifier:
        return False
    return True
