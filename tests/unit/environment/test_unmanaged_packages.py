"""Comparing an environment with its lock."""

from __future__ import annotations

from packaging.markers import default_environment
from packaging.requirements import Requirement

from colabenv.environment.distributions import InstalledDistribution
from colabenv.environment.unmanaged_packages import UnmanagedPackages, find_dependents, find_unmanaged
from colabenv.lock.lockfile import Header, Lock, Pin

MARKERS = {**{key: str(value) for key, value in default_environment().items()}, "python_version": "3.11"}
LOCK = Lock(
    Header("demo", "0", "3.11", "cpu", "plain", ""),
    tuple(Pin(name, "1.0", ("sha256:00",)) for name in ("base", "core")),
)
BASE = (
    InstalledDistribution("base", "1.0", installer="uv", requires=(Requirement("core"),)),
    InstalledDistribution("core", "1.0", installer="uv"),
)


def dist(
    name: str, *requires: str, by: str = "uv", requested: bool = True, url: str = ""
) -> InstalledDistribution:
    requested = requested and by == "pip"
    return InstalledDistribution(name, "2.0", by, requested, url, tuple(map(Requirement, requires)))


def find_changes(
    *more: InstalledDistribution, base: tuple[InstalledDistribution, ...] = BASE, lines: tuple[str, ...] = ()
) -> UnmanagedPackages:
    return find_unmanaged((*base, *more), LOCK, lines, MARKERS)


def names(found: tuple[InstalledDistribution, ...]) -> list[str]:
    return [one.name for one in found]


def test_environment_as_locked_has_no_unmanaged_packages() -> None:
    assert find_changes() == UnmanagedPackages()
    other_spelling = (BASE[0], InstalledDistribution("core", "1.0.0", installer="uv"))
    assert find_changes(base=other_spelling) == UnmanagedPackages()


def test_pip_records_what_the_user_named() -> None:
    found = find_changes(
        dist("app", "helper", by="pip"),
        dist("helper", by="pip", requested=False),
        dist("also", by="pip"),
        dist("plugin", "also", by="pip"),
    )
    assert names(found.added) == ["also", "app", "plugin"], "needed by another, and asked for all the same"
    assert names(found.dependencies) == ["helper"]
    assert found.versions == {"also": "2.0", "app": "2.0", "helper": "2.0", "plugin": "2.0"}


def test_with_uv_packages_that_nothing_needs_are_added() -> None:
    found = find_changes(
        dist("app", "helper[fast]", "absent; python_version < '3.0'"),
        dist("helper", "quick; extra == 'fast'"),
        dist("quick"),
        dist("absent"),
    )
    assert (names(found.added), names(found.dependencies)) == (["absent", "app"], ["helper", "quick"])


def test_packages_of_an_extra_are_added_unless_the_profile_names_the_extra() -> None:
    found = find_changes(dist("app", "more; extra == 'x'", by="pip"), dist("more", by="pip", requested=False))
    assert names(found.added) == ["app", "more"]
    lines = ("app[x]",)
    assert names(
        find_changes(
            dist("app", "more; extra == 'x'", by="pip"), dist("more", by="pip", requested=False), lines=lines
        ).added
    ) == ["app"]


def test_packages_that_pip_left_behind_are_unneeded() -> None:
    left = (dist("rich", "mdurl", by="pip", requested=False), dist("mdurl", by="pip", requested=False))
    found = find_changes(*left)
    assert names(found.unneeded) == ["mdurl", "rich"]
    assert not found.can_be_saved
    half = dist("app", "rich; extra == 'cli'", "click; extra == 'cli'", by="pip")
    assert names(find_changes(half, *left).unneeded) == ["mdurl", "rich"], "the extra is not there as a whole"
    whole = dist("app", "rich; extra == 'cli'", by="pip")
    with_it = find_changes(whole, *left)
    assert (names(with_it.added), names(with_it.dependencies), with_it.unneeded) == (
        ["app", "rich"],
        ["mdurl"],
        (),
    )


def test_packages_that_need_each_other_are_added() -> None:
    assert names(find_changes(dist("one", "two"), dist("two", "one")).added) == ["one", "two"]


def test_packages_from_urls_and_their_dependencies_are_separate() -> None:
    found = find_changes(
        dist("mine", "tool", "shared", url="file:///mine"),
        dist("tool"),
        dist("shared"),
        dist("app", "shared"),
    )
    assert names(found.from_urls) == ["mine"]
    assert names(found.url_dependencies) == ["tool"]
    assert (names(found.added), names(found.dependencies)) == (["app"], ["shared"])
    assert found.can_be_saved


def test_fork_of_a_locked_package_is_from_a_url() -> None:
    fork = InstalledDistribution("core", "1.0", url="git+https://host.test/core")
    found = find_changes(base=(BASE[0], fork))
    assert (names(found.from_urls), found.changed, found.removed) == (["core"], (), ())
    assert not found.can_be_saved


def test_changed_and_removed_packages() -> None:
    found = find_changes(base=(dist("base"),))
    assert [(one.installed.name, one.locked, one.installed.version) for one in found.changed] == [
        ("base", "1.0", "2.0")
    ]
    assert found.removed == (("core", "1.0"),)
    assert find_dependents("core", BASE, MARKERS) == ["base"]
