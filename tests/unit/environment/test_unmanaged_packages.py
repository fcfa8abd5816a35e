"""What was installed by hand: told from metadata, and split into what a profile, a lock or neither holds."""

from __future__ import annotations

from packaging.markers import default_environment
from packaging.requirements import Requirement

from colabenv.environment.distributions import InstalledDistribution
from colabenv.environment.unmanaged_packages import UnmanagedPackages, find_unmanaged, needing
from colabenv.lock.lockfile import Header, Lock, Pin

MARKERS = {**{key: str(value) for key, value in default_environment().items()}, "python_version": "3.11"}
LOCK = Lock(
    Header("demo", "0", "3.11", "cpu", "plain", ""),
    tuple(Pin(name, "1.0", ("sha256:00",)) for name in ("base", "core")),
)
BASE = (
    InstalledDistribution("base", "1.0", by="uv", requested=True, requires=(Requirement("core"),)),
    InstalledDistribution("core", "1.0", by="uv", requested=True),
)


NOTHING = UnmanagedPackages((), (), (), (), (), ())


def dist(
    name: str, *requires: str, by: str = "uv", requested: bool = True, url: str = ""
) -> InstalledDistribution:
    return InstalledDistribution(name, "2.0", by, requested, url, tuple(map(Requirement, requires)))


def look(
    *more: InstalledDistribution, base: tuple[InstalledDistribution, ...] = BASE, lines: tuple[str, ...] = ()
) -> UnmanagedPackages:
    return find_unmanaged((*base, *more), LOCK, lines, MARKERS)


def names(found: tuple[InstalledDistribution, ...]) -> list[str]:
    return [one.name for one in found]


def test_as_locked_nothing_was_done_by_hand() -> None:
    assert look() == NOTHING
    other_spelling = (BASE[0], InstalledDistribution("core", "1.0.0", by="uv"))
    assert look(base=other_spelling) == NOTHING


def test_with_pip_what_was_asked_for_is_what_pip_says() -> None:
    found = look(
        dist("app", "helper", by="pip"),
        dist("helper", by="pip", requested=False),
        dist("also", by="pip"),
        dist("plugin", "also", by="pip"),
    )
    assert names(found.added) == ["also", "app", "plugin"], "needed by another, and asked for all the same"
    assert names(found.along) == ["helper"]
    assert found.versions == {"also": "2.0", "app": "2.0", "helper": "2.0", "plugin": "2.0"}


def test_with_uv_it_is_what_nothing_needs() -> None:
    found = look(
        dist("app", "helper[fast]", "absent; python_version < '3.0'"),
        dist("helper", "quick; extra == 'fast'"),
        dist("quick"),
        dist("absent"),
    )
    assert (names(found.added), names(found.along)) == (["absent", "app"], ["helper", "quick"])


def test_what_came_with_an_extra_is_named_since_nothing_else_would_bring_it() -> None:
    found = look(dist("app", "more; extra == 'x'", by="pip"), dist("more", by="pip", requested=False))
    assert names(found.added) == ["app", "more"]
    lines = ("app[x]",)
    assert names(
        look(
            dist("app", "more; extra == 'x'", by="pip"), dist("more", by="pip", requested=False), lines=lines
        ).added
    ) == ["app"]


def test_what_pip_left_behind_is_an_orphan() -> None:
    left = (dist("rich", "mdurl", by="pip", requested=False), dist("mdurl", by="pip", requested=False))
    found = look(*left)
    assert names(found.orphans) == ["mdurl", "rich"]
    assert not found.to_save
    half = dist("app", "rich; extra == 'cli'", "click; extra == 'cli'", by="pip")
    assert names(look(half, *left).orphans) == ["mdurl", "rich"], "the extra is not there as a whole"
    whole = dist("app", "rich; extra == 'cli'", by="pip")
    with_it = look(whole, *left)
    assert (names(with_it.added), names(with_it.along), with_it.orphans) == (["app", "rich"], ["mdurl"], ())


def test_circles_are_named() -> None:
    assert names(look(dist("one", "two"), dist("two", "one")).added) == ["one", "two"]


def test_what_came_from_elsewhere_and_what_only_it_needs_is_apart() -> None:
    found = look(
        dist("mine", "tool", "shared", url="file:///mine"),
        dist("tool"),
        dist("shared"),
        dist("app", "shared"),
    )
    assert names(found.foreign) == ["mine"]
    assert names(found.for_foreign) == ["tool"]
    assert (names(found.added), names(found.along)) == (["app"], ["shared"])
    assert found.to_save


def test_a_fork_in_the_place_of_a_locked_one_is_foreign() -> None:
    fork = InstalledDistribution("core", "1.0", url="git+https://host.test/core")
    found = look(base=(BASE[0], fork))
    assert (names(found.foreign), found.moved, found.removed) == (["core"], (), ())
    assert not found.to_save


def test_moved_and_removed() -> None:
    found = look(base=(dist("base"),))
    assert [(one.now.name, one.old, one.now.version) for one in found.moved] == [("base", "1.0", "2.0")]
    assert found.removed == (("core", "1.0"),)
    assert needing("core", BASE, MARKERS) == ["base"]
