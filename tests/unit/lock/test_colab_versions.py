"""Resolving like a Colab runtime: what it shipped holds, what the profile asks for wins, and the rest is found out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from colabenv.errors import UnsatisfiableError
from colabenv.lock.colab_versions import find_compatible, find_differences, resolve_like
from colabenv.lock.lockfile import Pin
from colabenv.lock.request import ResolveRequest

SHIPPED = (("keras", "3.8.0"), ("numpy", "2.0.2"), ("tensorflow", "2.18.0"), ("wrapt", "1.17.2"))


def question(*lines: str, constraints: tuple[str, ...] = ()) -> ResolveRequest:
    return ResolveRequest(lines, constraints, "3.11", Path("/usr/bin/python3.11"), "", (), ())


@dataclass
class Shelf:
    """A resolver over a few releases; `needs` says what a release pulls in. Preferred versions first, then the newest.

    Attributes:
        releases: name to versions, newest first.
        needs: (name, version) to requirements.
        questions: what it was asked.
    """

    releases: dict[str, tuple[str, ...]]
    needs: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    questions: list[ResolveRequest] = field(default_factory=list)
    name: str = "uv"
    reason: str = ""

    def download_python(self, version: str) -> Path:
        raise AssertionError(f"Python {version} is not needed")

    def resolve(self, request: ResolveRequest) -> tuple[Pin, ...]:
        self.questions.append(request)
        found = self._solve([*request.requirements], [*request.constraints], {}, request)
        if found is None:
            raise UnsatisfiableError("No set of versions.", hint="Loosen.", detail="because")
        return tuple(Pin(name, version, ()) for name, version in sorted(found.items()))

    def _solve(
        self, waiting: list[str], limits: list[str], chosen: dict[str, str], request: ResolveRequest
    ) -> dict[str, str] | None:
        if not waiting:
            return chosen
        name = Requirement(waiting[0]).name
        rules = [r for r in map(Requirement, [*waiting, *limits]) if r.name == name]
        liked = [pin.version for pin in request.preferred if pin.name == name]
        for version in [chosen[name]] if name in chosen else [*liked, *self.releases[name]]:
            if version in self.releases[name] and all(rule.specifier.contains(version) for rule in rules):
                more = [] if name in chosen else list(self.needs.get((name, version), ()))
                found = self._solve(
                    [*waiting[1:], *more], [*limits, waiting[0]], {**chosen, name: version}, request
                )
                if found is not None:
                    return found
        return None


def versions(pins: tuple[Pin, ...]) -> dict[str, str]:
    return {pin.name: pin.version for pin in pins}


SHELF = {
    "numpy": ("2.5.0", "2.0.2", "1.26.4"),
    "keras": ("3.15.0", "3.8.0", "2.15.0"),
    "tensorflow": ("2.21.0", "2.18.0", "2.15.1"),
    "wrapt": ("1.17.2", "1.14.1"),
    "extra": ("2", "1"),
}
NEEDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("tensorflow", "2.18.0"): ("keras>=3.5", "numpy<2.1", "wrapt>=1.11"),
    ("tensorflow", "2.15.1"): ("keras<2.16", "numpy<2", "wrapt<1.15"),
    ("extra", "2"): ("numpy>=2.3",),
    ("extra", "1"): ("numpy>=1",),
}


def test_shipped_versions_are_constraints_of_one_request() -> None:
    shelf = Shelf(SHELF, NEEDS)
    asked = question("tensorflow", "extra", constraints=("setuptools<81",))
    pins = resolve_like(asked, asked.requirements, SHIPPED, "colab-x", shelf)
    assert versions(pins) == {
        "extra": "1", "keras": "3.8.0", "numpy": "2.0.2", "tensorflow": "2.18.0", "wrapt": "1.17.2"
    }  # fmt: skip
    (only,) = shelf.questions
    assert only.constraints == ("setuptools<81", *(f"{name}=={version}" for name, version in SHIPPED))


def test_shipped_packages_are_not_installed_unless_required() -> None:
    pins = resolve_like(question("numpy"), ("numpy",), SHIPPED, "colab-x", Shelf(SHELF, NEEDS))
    assert versions(pins) == {"numpy": "2.0.2"}


def test_the_profiles_own_pins_win() -> None:
    pins = resolve_like(question("numpy<2", "keras"), ("numpy<2",), SHIPPED, "colab-x", Shelf(SHELF, NEEDS))
    assert versions(pins) == {"numpy": "1.26.4", "keras": "3.8.0"}
    assert find_differences(pins, SHIPPED) == (("numpy", "1.26.4", "2.0.2"),)


def test_dependencies_of_pins_win_over_the_runtime() -> None:
    shelf = Shelf(SHELF, NEEDS)
    pins = resolve_like(question("tensorflow==2.15.1"), ("tensorflow==2.15.1",), SHIPPED, "colab-x", shelf)
    assert versions(pins) == {"tensorflow": "2.15.1", "keras": "2.15.0", "numpy": "1.26.4", "wrapt": "1.14.1"}
    assert len(shelf.questions) == 3


def test_other_shipped_versions_are_kept() -> None:
    # `extra` alone would pull numpy 2.5 in, and could do with the runtime's.
    needs: dict[tuple[str, str], tuple[str, ...]] = {
        **NEEDS,
        ("tensorflow", "2.15.1"): ("keras<2.16", "numpy<2.1", "wrapt<1.15"),
    }
    asked = question("tensorflow==2.15.1", "extra")
    pins = resolve_like(asked, asked.requirements, SHIPPED, "colab-x", Shelf(SHELF, needs))
    assert versions(pins)["numpy"] == "2.0.2"
    assert versions(pins)["extra"] == "1"


def test_all_lines_win_over_the_runtime_if_pins_are_not_enough() -> None:
    needs: dict[tuple[str, str], tuple[str, ...]] = {
        ("extra", "2"): ("numpy>=2.3",),
        ("extra", "1"): ("numpy>=2.3",),
    }
    asked = question("extra", "keras==3.8.0")
    pins = resolve_like(asked, asked.requirements, SHIPPED, "colab-x", Shelf(SHELF, needs))
    assert versions(pins) == {"extra": "2", "numpy": "2.5.0", "keras": "3.8.0"}


def test_unsatisfiable_error_names_the_runtime() -> None:
    asked = question("numpy<1")
    with pytest.raises(UnsatisfiableError, match="No set of versions") as caught:
        resolve_like(asked, asked.requirements, SHIPPED, "colab-x", Shelf(SHELF, NEEDS))
    assert caught.value.hint.startswith("Loosen. The profile keeps the versions of colab-x")
    assert caught.value.detail == "because"


def test_names_are_canonicalized_when_comparing() -> None:
    lines = ("NumPy<2", "keras[x]>=3 ; python_version > '3'")
    assert find_compatible(SHIPPED, lines) == (SHIPPED[0], *SHIPPED[2:])


def test_local_label_is_ignored() -> None:
    assert find_differences((Pin("keras", "3.8.0+cu124", ()), Pin("other", "1", ())), SHIPPED) == ()
    assert find_differences((Pin("keras", "3.8", ()),), SHIPPED) == ()
