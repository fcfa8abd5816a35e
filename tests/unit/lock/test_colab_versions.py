"""Resolving with `like`: the profile's requirements first, then the versions of the Colab runtime."""

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


def make_request(*lines: str, constraints: tuple[str, ...] = ()) -> ResolveRequest:
    return ResolveRequest(lines, constraints, "3.11", Path("/usr/bin/python3.11"), "", (), ())


@dataclass
class FakeResolver:
    """A resolver over a few releases. It tries preferred versions first, then the newest.

    Attributes:
        releases: name to versions, newest first.
        needs: (name, version) to requirements.
        requests: the requests it received.
    """

    releases: dict[str, tuple[str, ...]]
    needs: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    requests: list[ResolveRequest] = field(default_factory=list)
    name: str = "uv"
    reason: str = ""

    def download_python(self, version: str) -> Path:
        raise AssertionError(f"Python {version} is not needed")

    def resolve(self, request: ResolveRequest) -> tuple[Pin, ...]:
        self.requests.append(request)
        versions = self._solve([*request.requirements], [*request.constraints], {}, request)
        if versions is None:
            raise UnsatisfiableError("No set of versions.", hint="Loosen.", detail="because")
        return tuple(Pin(name, version, ()) for name, version in sorted(versions.items()))

    def _solve(
        self, pending: list[str], constraints: list[str], chosen: dict[str, str], request: ResolveRequest
    ) -> dict[str, str] | None:
        if not pending:
            return chosen
        name = Requirement(pending[0]).name
        requirements = map(Requirement, [*pending, *constraints])
        specifiers = [requirement.specifier for requirement in requirements if requirement.name == name]
        preferred = [pin.version for pin in request.preferred if pin.name == name]
        for version in [chosen[name]] if name in chosen else [*preferred, *self.releases[name]]:
            if version in self.releases[name] and all(
                specifier.contains(version) for specifier in specifiers
            ):
                needs = [] if name in chosen else list(self.needs.get((name, version), ()))
                versions = self._solve(
                    [*pending[1:], *needs], [*constraints, pending[0]], {**chosen, name: version}, request
                )
                if versions is not None:
                    return versions
        return None


def versions(pins: tuple[Pin, ...]) -> dict[str, str]:
    return {pin.name: pin.version for pin in pins}


RELEASES = {
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


def test_versions_of_the_runtime_are_constraints_of_a_single_request() -> None:
    resolver = FakeResolver(RELEASES, NEEDS)
    requested = make_request("tensorflow", "extra", constraints=("setuptools<81",))
    pins = resolve_like(requested, requested.requirements, SHIPPED, "colab-x", resolver)
    assert versions(pins) == {
        "extra": "1", "keras": "3.8.0", "numpy": "2.0.2", "tensorflow": "2.18.0", "wrapt": "1.17.2"
    }  # fmt: skip
    (sent,) = resolver.requests
    assert sent.constraints == ("setuptools<81", *(f"{name}=={version}" for name, version in SHIPPED))


def test_packages_of_the_runtime_are_not_installed_unless_required() -> None:
    pins = resolve_like(make_request("numpy"), ("numpy",), SHIPPED, "colab-x", FakeResolver(RELEASES, NEEDS))
    assert versions(pins) == {"numpy": "2.0.2"}


def test_requirements_of_the_profile_take_precedence() -> None:
    pins = resolve_like(
        make_request("numpy<2", "keras"), ("numpy<2",), SHIPPED, "colab-x", FakeResolver(RELEASES, NEEDS)
    )
    assert versions(pins) == {"numpy": "1.26.4", "keras": "3.8.0"}
    assert find_differences(pins, SHIPPED) == (("numpy", "1.26.4", "2.0.2"),)


def test_dependencies_of_pins_take_precedence_over_the_runtime() -> None:
    resolver = FakeResolver(RELEASES, NEEDS)
    pins = resolve_like(
        make_request("tensorflow==2.15.1"), ("tensorflow==2.15.1",), SHIPPED, "colab-x", resolver
    )
    assert versions(pins) == {"tensorflow": "2.15.1", "keras": "2.15.0", "numpy": "1.26.4", "wrapt": "1.14.1"}
    assert len(resolver.requests) == 3


def test_runtime_versions_that_do_not_conflict_are_kept() -> None:
    # On its own, `extra` would install numpy 2.5, but it also works with numpy 2.0.2.
    needs: dict[tuple[str, str], tuple[str, ...]] = {
        **NEEDS,
        ("tensorflow", "2.15.1"): ("keras<2.16", "numpy<2.1", "wrapt<1.15"),
    }
    requested = make_request("tensorflow==2.15.1", "extra")
    pins = resolve_like(requested, requested.requirements, SHIPPED, "colab-x", FakeResolver(RELEASES, needs))
    assert versions(pins)["numpy"] == "2.0.2"
    assert versions(pins)["extra"] == "1"


def test_unpinned_requirements_take_precedence_if_pins_are_not_enough() -> None:
    needs: dict[tuple[str, str], tuple[str, ...]] = {
        ("extra", "2"): ("numpy>=2.3",),
        ("extra", "1"): ("numpy>=2.3",),
    }
    requested = make_request("extra", "keras==3.8.0")
    pins = resolve_like(requested, requested.requirements, SHIPPED, "colab-x", FakeResolver(RELEASES, needs))
    assert versions(pins) == {"extra": "2", "numpy": "2.5.0", "keras": "3.8.0"}


def test_hint_for_unsatisfiable_requirements_names_the_runtime() -> None:
    requested = make_request("numpy<1")
    with pytest.raises(UnsatisfiableError, match="No set of versions") as caught:
        resolve_like(requested, requested.requirements, SHIPPED, "colab-x", FakeResolver(RELEASES, NEEDS))
    assert caught.value.hint.startswith("Loosen. The profile keeps the versions of colab-x")
    assert caught.value.detail == "because"


def test_names_are_canonicalized_when_comparing() -> None:
    lines = ("NumPy<2", "keras[x]>=3 ; python_version > '3'")
    assert find_compatible(SHIPPED, lines) == (SHIPPED[0], *SHIPPED[2:])


def test_local_version_and_spelling_are_no_difference() -> None:
    assert find_differences((Pin("keras", "3.8.0+cu124", ()), Pin("other", "1", ())), SHIPPED) == ()
    assert find_differences((Pin("keras", "3.8", ()),), SHIPPED) == ()
