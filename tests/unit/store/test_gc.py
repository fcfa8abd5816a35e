"""What a store has, and that removal takes what nobody uses and never what a push relies on."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from colabenv.errors import NotInStoreError, StoreError
from colabenv.store.gc import collect_garbage, read_contents
from colabenv.store.inventory import LAYERS, MANIFESTS, PUSHING, PYTHONS, REMOVING, USED, usage_name
from colabenv.store.manifest import manifest_name
from support.memory_store import TAG
from support.pushing import (
    DAY,
    AgingStore,
    InterruptedStore,
    Killed,
    assert_consistent,
    fake_wheel_hash,
    layer_names,
    make_request,
    push_quietly,
    read_manifests,
)

PYTHON = "cpython-3.11.9-linux-x86_64-gnu"


class Ticking:
    """A clock that goes on whenever somebody else works."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


Old = Callable[..., AgingStore]


def clean(remote: AgingStore, days: float = 30, *, dry_run: bool = False) -> list[str]:
    """The names of what is removed."""
    return [one.name for one in collect_garbage(remote, days, dry_run=dry_run, wall=lambda: remote.now)]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Old:
    """Makes stores with two environments that share a package and a Python, which nobody touched for some days."""
    folder, made = tmp_path_factory.mktemp("old"), AgingStore()
    push_quietly(made, make_request(folder, "six", "attrs", python=PYTHON))
    push_quietly(made, make_request(folder, "six", "idna", python=PYTHON, profile="other"))

    def copy(age: float = 40 * DAY) -> AgingStore:
        return AgingStore(objects=dict(made.objects), modified=dict(made.modified), now=made.now + age)

    return copy


def test_read_contents(old: Old, tmp_path: Path) -> None:
    remote = old(age=3600.0)
    remote.write(f"{LAYERS}{TAG}/{'0' * 64}-{'0' * 32}.layer", b"12345")
    remote.write(
        usage_name(manifest_name(make_request(tmp_path, "six", "attrs").lock.pins_digest, TAG)), b"x"
    )
    remote.write(f"{MANIFESTS}{TAG}/{'f' * 64}.json", b"{")
    found = read_contents(remote)
    demo, other = found.environments
    assert (demo.manifest.profile, other.manifest.profile) == ("demo", "other")
    sizes = {name: len(data) for name, data in remote.objects.items()}
    assert demo.bytes == sum(sizes[name] for name in demo.manifest.objects())
    common = set(demo.manifest.objects()) & set(other.manifest.objects())
    assert (demo.shared, len(common)) == (sum(sizes[name] for name in common), 2)
    assert (demo.used - other.used, demo.made - other.made) == (3600.0, 0.0)
    assert (found.layers, found.loose, found.bytes) == (5, 5, sum(sizes.values()))
    ((name, why),) = found.damaged
    assert name.endswith(f"{'f' * 64}.json")
    assert "not a manifest" in why


def test_an_empty_store() -> None:
    found = read_contents(AgingStore())
    assert (found.environments, found.bytes) == ((), 0)
    assert clean(AgingStore()) == []


def test_recently_used_environments_stay(old: Old) -> None:
    remote = old(age=29 * DAY)
    before = dict(remote.objects)
    assert clean(remote) == []
    assert remote.objects == before


def test_unused_environments_go_with_their_own_layers(old: Old, tmp_path: Path) -> None:
    remote = old()
    keep = manifest_name(make_request(tmp_path, "six", "idna").lock.pins_digest, TAG)
    remote.write(usage_name(keep), b"2026-11-22")
    gone = clean(remote)
    assert len(gone) == 2
    assert gone[0].startswith(MANIFESTS)
    assert fake_wheel_hash("attrs") in gone[1]
    assert [one.profile for one in read_manifests(remote)] == ["other"]
    assert len(layer_names(remote)) == 3
    assert_consistent(remote)


def test_everything_old_goes_except_other_files(old: Old) -> None:
    remote = old()
    remote.write(usage_name(f"{MANIFESTS}{TAG}/{'a' * 64}.json"), b"x")
    remote.modified[usage_name(f"{MANIFESTS}{TAG}/{'a' * 64}.json")] = 0.0
    remote.write("README.txt", b"not ours")
    clean(remote)
    assert list(remote.objects) == ["README.txt"]


def test_a_dry_run_reports_the_same(old: Old) -> None:
    remote = old()
    before = dict(remote.objects)
    told = clean(remote, dry_run=True)
    assert remote.objects == before
    assert told == clean(remote)
    assert remote.objects == {}


def test_unnamed_layers_go_after_a_day(old: Old) -> None:
    remote = old(age=0.0)
    loose = f"{LAYERS}{TAG}/{'0' * 64}-{'0' * 32}.layer"
    remote.write(loose, b"half")
    assert clean(remote) == []
    remote.now += 2 * DAY
    assert clean(remote) == [loose]
    assert_consistent(remote)


def test_leftovers_of_interrupted_pushes_go_after_a_day(tmp_path: Path) -> None:
    what = make_request(tmp_path, "six", "attrs", python=PYTHON)
    remote = AgingStore()
    count = InterruptedStore(AgingStore())
    push_quietly(count, what)
    with pytest.raises(Killed):
        push_quietly(InterruptedStore(remote, count.calls.index("upload") + 2), what)
    assert len(remote.entries(PUSHING)) == 1
    assert layer_names(remote), "something was sent, how much depends on the threads"
    remote.now += 0.9 * DAY
    assert clean(remote) == []
    remote.now += DAY
    clean(remote)
    assert remote.objects == {}


def test_layers_of_a_running_push_stay(old: Old) -> None:
    remote = old()
    body = {"tag": TAG, "wheels": [fake_wheel_hash("attrs")], "python": PYTHON}
    remote.write(f"{PUSHING}abc.json", json.dumps(body).encode())
    clean(remote)
    assert {one.name.split("/")[-1].split("-")[0] for one in remote.entries(LAYERS)} == {
        "python",
        fake_wheel_hash("attrs"),
    }


def test_layers_of_another_manifest_format_stay(old: Old) -> None:
    remote = old()
    newer = f"{MANIFESTS}{TAG}/{'e' * 64}.json"
    remote.write(newer, b'{"digest":"x","manifest":{"format":99}}\n')
    layers = layer_names(remote)
    clean(remote)
    assert layer_names(remote) == layers
    assert newer in remote.objects
    remote.now += 31 * DAY
    clean(remote)
    assert remote.objects == {}


def test_damaged_manifests_go_after_a_day(old: Old) -> None:
    remote = old(age=0.0)
    broken = f"{MANIFESTS}{TAG}/{'e' * 64}.json"
    remote.write(broken, b"{")
    assert clean(remote) == []
    remote.now += 2 * DAY
    assert clean(remote) == [broken]


def test_an_unavailable_store_loses_nothing(old: Old) -> None:
    remote = old(age=2 * DAY)
    remote.broken[MANIFESTS] = 1
    with pytest.raises(StoreError):
        clean(remote)
    assert len(layer_names(remote)) == 4
    assert remote.entries(PUSHING) == []


def test_the_clock_of_this_machine_does_not_matter(old: Old) -> None:
    remote = old(age=DAY)
    assert collect_garbage(remote, 30, wall=lambda: remote.now + 400 * DAY) == ()


def test_a_read_only_store_allows_a_dry_run(old: Old) -> None:
    remote = old()
    remote.writable = False
    with pytest.raises(StoreError, match="cannot be written to") as caught:
        collect_garbage(remote, 30)
    assert "folder or bucket" in caught.value.hint
    assert len(clean(remote, dry_run=True)) > 5


def test_a_killed_gc_leaves_a_consistent_store(old: Old) -> None:
    count = InterruptedStore(old())
    collect_garbage(count, 30)
    assert len(count.calls) > 15
    for number in range(len(count.calls)):
        remote = old()
        with pytest.raises(Killed):
            collect_garbage(InterruptedStore(remote, number), 30)
        assert_consistent(remote)
        clean(remote)
        assert layer_names(remote) == set()


@pytest.mark.parametrize("profile", ["demo", "third"])
def test_gc_at_any_moment_of_a_push_removes_nothing_of_it(old: Old, tmp_path: Path, profile: str) -> None:
    """Both the push of what is about to go, and of something else that shares layers with it."""
    names = ("six", "attrs") if profile == "demo" else ("six", "attrs", "idna", "toml")
    what = make_request(tmp_path, *names, python=PYTHON, profile=profile)
    count = InterruptedStore(old())
    push_quietly(count, what)
    for number in range(len(count.calls)):
        remote = old()
        during = InterruptedStore(remote, number, functools.partial(clean, remote))
        push_quietly(during, what)
        assert during.done
        assert _has(remote, what.lock.pins_digest)
        assert_consistent(remote)


@pytest.mark.parametrize("profile", ["demo", "third"])
def test_a_push_at_any_moment_of_a_gc_is_complete(old: Old, tmp_path: Path, profile: str) -> None:
    names = ("six", "attrs") if profile == "demo" else ("six", "attrs", "idna", "toml")
    what = make_request(tmp_path, *names, python=PYTHON, profile=profile)
    count = InterruptedStore(old())
    collect_garbage(count, 30, wall=lambda: 0.0)
    for number in range(1, len(count.calls)):
        remote, clock = old(), Ticking()

        def work(remote: AgingStore = remote, clock: Ticking = clock) -> None:
            push_quietly(remote, what)
            clock.now += 60.0

        # Whoever stands still between looking and removing for longer than pushes wait may do harm; then a restore
        # installs what is gone. So never right before a removal.
        during = InterruptedStore(remote, number, work, spared=("delete",))
        collect_garbage(during, 30, clock=clock)
        if during.done:
            assert _has(remote, what.lock.pins_digest)
            assert_consistent(remote)


def test_a_push_that_ends_at_any_moment_of_a_gc_is_complete(old: Old, tmp_path: Path) -> None:
    """It began before: it has seen the manifest that goes, and sends nothing of what that named."""
    what = make_request(tmp_path, "six", "attrs", python=PYTHON, profile="demo")
    expired = old()
    name = manifest_name(what.lock.pins_digest, TAG)
    others = f"{MANIFESTS}{TAG}/{'d' * 64}.json"
    intent = json.dumps({"tag": TAG, "wheels": list(what.wheels.values()), "python": PYTHON}).encode()
    moments = 0
    for number in range(30):
        remote = old()
        remote.write(f"{PUSHING}running.json", intent)

        def ends(remote: AgingStore = remote) -> None:
            remote.write(others, expired.objects[name])
            remote.delete(f"{PUSHING}running.json")

        during = InterruptedStore(remote, number, ends, spared=("delete",))
        collect_garbage(during, 30)
        if during.done:
            moments += 1
            assert others in remote.objects
            assert_consistent(remote)
    assert moments > 10


def test_a_push_waits_for_a_running_gc(tmp_path: Path) -> None:
    remote, waited = AgingStore(), list[float]()
    mark = f"{REMOVING}1.json"
    remote.write(mark, b"{}")

    def pause(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            remote.delete(mark)

    push_quietly(remote, make_request(tmp_path, "six"), pause=pause)
    assert len(waited) == 3
    remote.write(mark, b"{}")
    waited[:] = [0.0] * 5
    push_quietly(remote, make_request(tmp_path, "six"), pause=pause)
    assert sum(waited) == 10.0


def test_managed_pythons_go_with_the_last_environment_of_their_tag(old: Old) -> None:
    remote = old()
    assert len(remote.entries(PYTHONS)) == 1
    clean(remote)
    assert remote.entries(PYTHONS) == remote.entries(USED) == []


def _has(remote: AgingStore, lock: str) -> bool:
    try:
        remote.read(manifest_name(lock, TAG))
    except NotInStoreError:
        return False
    return True
