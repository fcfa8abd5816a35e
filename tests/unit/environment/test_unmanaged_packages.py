"""Finding packages that differ from the lock of their environment."""

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


def names(distributions: tuple[InstalledDistribution, ...]) -> list[str]:
    return [distribution.name for distribution in distributions]


def test_unchanged_environment_has_no_unmanaged_packages() -> None:
    assert find_changes() == UnmanagedPackages()
    other_spelling = (BASE[0], InstalledDistribution("core", "1.0.0", installer="uv"))
    assert find_changes(base=other_spelling) == UnmanagedPackages()


def test_packages_that_the_user_requested_from_pip_are_added() -> None:
    unmanaged = find_changes(
        dist("app", "helper", by="pip"),
        dist("helper", by="pip", requested=False),
        dist("also", by="pip"),
        dist("plugin", "also", by="pip"),
    )
    assert names(unmanaged.added) == ["also", "app", "plugin"], (
        "also is a dependency of plugin, but the user requested it"
    )
    assert names(unmanaged.dependencies) == ["helper"]
    assert unmanaged.versions == {"also": "2.0", "app": "2.0", "helper": "2.0", "plugin": "2.0"}


def test_packages_from_uv_that_nothing_requires_are_added() -> None:
    unmanaged = find_changes(
        dist("app", "helper[fast]", "absent; python_version < '3.0'"),
        dist("helper", "quick; extra == 'fast'"),
        dist("quick"),
        dist("absent"),
    )
    assert (names(unmanaged.added), names(unmanaged.dependencies)) == (["absent", "app"], ["helper", "quick"])


def test_packages_of_an_extra_are_added_unless_the_profile_names_the_extra() -> None:
    packages = (dist("app", "more; extra == 'x'", by="pip"), dist("more", by="pip", requested=False))
    assert names(find_changes(*packages).added) == ["app", "more"]
    assert names(find_changes(*packages, lines=("app[x]",)).added) == ["app"]


def test_packages_that_pip_left_behind_are_unneeded() -> None:
    leftovers = (dist("rich", "mdurl", by="pip", requested=False), dist("mdurl", by="pip", requested=False))
    unmanaged = find_changes(*leftovers)
    assert names(unmanaged.unneeded) == ["mdurl", "rich"]
    assert not unmanaged.can_be_saved
    incomplete_extra = dist("app", "rich; extra == 'cli'", "click; extra == 'cli'", by="pip")
    unmanaged = find_changes(incomplete_extra, *leftovers)
    assert names(unmanaged.unneeded) == ["mdurl", "rich"], (
        "the extra also needs click, which is not installed"
    )
    complete_extra = dist("app", "rich; extra == 'cli'", by="pip")
    unmanaged = find_changes(complete_extra, *leftovers)
    assert (names(unmanaged.added), names(unmanaged.dependencies), unmanaged.unneeded) == (
        ["app", "rich"],
        ["mdurl"],
        (),
    )


def test_packages_that_require_each_other_are_added() -> None:
    assert names(find_changes(dist("one", "two"), dist("two", "one")).added) == ["one", "two"]


def test_packages_from_urls_and_their_dependencies_are_listed_separately() -> None:
    unmanaged = find_changes(
        dist("mine", "tool", "shared", url="file:///mine"),
        dist("tool"),
        dist("shared"),
        dist("app", "shared"),
    )
    assert names(unmanaged.from_urls) == ["mine"]
    assert names(unmanaged.url_dependencies) == ["tool"]
    assert (names(unmanaged.added), names(unmanaged.dependencies)) == (["app"], ["shared"])
    assert unmanaged.can_be_saved


def test_fork_of_a_locked_package_is_from_a_url() -> None:
    fork = InstalledDistribution("core", "1.0", url="git+https://host.test/core")
    unmanaged = find_changes(base=(BASE[0], fork))
    assert (names(unmanaged.from_urls), unmanaged.changed, unmanaged.removed) == (["core"], (), ())
    assert not unmanaged.can_be_saved


def test_changed_and_removed_packages() -> None:
    unmanaged = find_changes(base=(dist("base"),))
    (changed,) = unmanaged.changed
    assert (changed.installed.name, changed.locked, changed.installed.version) == ("base", "1.0", "2.0")
    assert unmanaged.removed == (("core", "1.0"),)
    assert find_dependents("core", BASE, MARKERS) == ["base"]
