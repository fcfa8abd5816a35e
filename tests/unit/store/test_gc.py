"""The contents of a store, and which objects `store gc` removes and keeps."""

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


class FakeClock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


Old = Callable[..., AgingStore]


def clean(store: AgingStore, days: float = 30, *, dry_run: bool = False) -> list[str]:
    """The names of the removed objects."""
    return [removed.name for removed in collect_garbage(store, days, dry_run=dry_run, wall=lambda: store.now)]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Old:
    """Makes stores with two old environments that share a package and a Python."""
    folder, made = tmp_path_factory.mktemp("old"), AgingStore()
    push_quietly(made, make_request(folder, "six", "attrs", python=PYTHON))
    push_quietly(made, make_request(folder, "six", "idna", python=PYTHON, profile="other"))

    def copy(age: float = 40 * DAY) -> AgingStore:
        return AgingStore(objects=dict(made.objects), modified=dict(made.modified), now=made.now + age)

    return copy


def test_read_contents(old: Old, tmp_path: Path) -> None:
    store = old(age=3600.0)
    store.write(f"{LAYERS}{TAG}/{'0' * 64}-{'0' * 32}.layer", b"12345")
    store.write(usage_name(manifest_name(make_request(tmp_path, "six", "attrs").lock.pins_digest, TAG)), b"x")
    store.write(f"{MANIFESTS}{TAG}/{'f' * 64}.json", b"{")
    contents = read_contents(store)
    demo, other = contents.environments
    assert (demo.manifest.profile, other.manifest.profile) == ("demo", "other")
    sizes = {name: len(data) for name, data in store.objects.items()}
    assert demo.bytes == sum(sizes[name] for name in demo.manifest.objects())
    common = set(demo.manifest.objects()) & set(other.manifest.objects())
    assert (demo.shared, len(common)) == (sum(sizes[name] for name in common), 2)
    assert (demo.used - other.used, demo.made - other.made) == (3600.0, 0.0)
    assert (contents.layers, contents.loose, contents.bytes) == (5, 5, sum(sizes.values()))
    ((name, why),) = contents.damaged
    assert name.endswith(f"{'f' * 64}.json")
    assert "not a manifest" in why


def test_an_empty_store() -> None:
    contents = read_contents(AgingStore())
    assert (contents.environments, contents.bytes) == ((), 0)
    assert clean(AgingStore()) == []


def test_recently_used_environments_stay(old: Old) -> None:
    store = old(age=29 * DAY)
    before = dict(store.objects)
    assert clean(store) == []
    assert store.objects == before


def test_unused_environments_go_with_their_own_layers(old: Old, tmp_path: Path) -> None:
    store = old()
    keep = manifest_name(make_request(tmp_path, "six", "idna").lock.pins_digest, TAG)
    store.write(usage_name(keep), b"2026-11-22")
    gone = clean(store)
    assert len(gone) == 2
    assert gone[0].startswith(MANIFESTS)
    assert fake_wheel_hash("attrs") in gone[1]
    assert [manifest.profile for manifest in read_manifests(store)] == ["other"]
    assert len(layer_names(store)) == 3
    assert_consistent(store)


def test_everything_old_goes_except_other_files(old: Old) -> None:
    store = old()
    store.write(usage_name(f"{MANIFESTS}{TAG}/{'a' * 64}.json"), b"x")
    store.modified[usage_name(f"{MANIFESTS}{TAG}/{'a' * 64}.json")] = 0.0
    store.write("README.txt", b"not ours")
    clean(store)
    assert list(store.objects) == ["README.txt"]


def test_a_dry_run_reports_the_same(old: Old) -> None:
    store = old()
    before = dict(store.objects)
    told = clean(store, dry_run=True)
    assert store.objects == before
    assert told == clean(store)
    assert store.objects == {}


def test_unnamed_layers_go_after_a_day(old: Old) -> None:
    store = old(age=0.0)
    loose = f"{LAYERS}{TAG}/{'0' * 64}-{'0' * 32}.layer"
    store.write(loose, b"half")
    assert clean(store) == []
    store.now += 2 * DAY
    assert clean(store) == [loose]
    assert_consistent(store)


def test_leftovers_of_interrupted_pushes_go_after_a_day(tmp_path: Path) -> None:
    request = make_request(tmp_path, "six", "attrs", python=PYTHON)
    store = AgingStore()
    count = InterruptedStore(AgingStore())
    push_quietly(count, request)
    with pytest.raises(Killed):
        push_quietly(InterruptedStore(store, count.calls.index("upload") + 2), request)
    assert len(store.entries(PUSHING)) == 1
    assert layer_names(store), "something was sent, how much depends on the threads"
    store.now += 0.9 * DAY
    assert clean(store) == []
    store.now += DAY
    clean(store)
    assert store.objects == {}


def test_layers_of_a_running_push_stay(old: Old) -> None:
    store = old()
    body = {"tag": TAG, "wheels": [fake_wheel_hash("attrs")], "python": PYTHON}
    store.write(f"{PUSHING}abc.json", json.dumps(body).encode())
    clean(store)
    assert {layer.name.split("/")[-1].split("-")[0] for layer in store.entries(LAYERS)} == {
        "python",
        fake_wheel_hash("attrs"),
    }


def test_layers_of_another_manifest_format_stay(old: Old) -> None:
    store = old()
    newer = f"{MANIFESTS}{TAG}/{'e' * 64}.json"
    store.write(newer, b'{"digest":"x","manifest":{"format":99}}\n')
    layers = layer_names(store)
    clean(store)
    assert layer_names(store) == layers
    assert newer in store.objects
    store.now += 31 * DAY
    clean(store)
    assert store.objects == {}


def test_damaged_manifests_go_after_a_day(old: Old) -> None:
    store = old(age=0.0)
    broken = f"{MANIFESTS}{TAG}/{'e' * 64}.json"
    store.write(broken, b"{")
    assert clean(store) == []
    store.now += 2 * DAY
    assert clean(store) == [broken]


def test_an_unavailable_store_loses_nothing(old: Old) -> None:
    store = old(age=2 * DAY)
    store.broken[MANIFESTS] = 1
    with pytest.raises(StoreError):
        clean(store)
    assert len(layer_names(store)) == 4
    assert store.entries(PUSHING) == []


def test_the_clock_of_this_machine_does_not_matter(old: Old) -> None:
    store = old(age=DAY)
    assert collect_garbage(store, 30, wall=lambda: store.now + 400 * DAY) == ()


def test_a_read_only_store_allows_a_dry_run(old: Old) -> None:
    store = old()
    store.writable = False
    with pytest.raises(StoreError, match="cannot be written to") as caught:
        collect_garbage(store, 30)
    assert "folder or bucket" in caught.value.hint
    assert len(clean(store, dry_run=True)) > 5


def test_a_killed_gc_leaves_a_consistent_store(old: Old) -> None:
    count = InterruptedStore(old())
    collect_garbage(count, 30)
    assert len(count.calls) > 15
    for number in range(len(count.calls)):
        store = old()
        with pytest.raises(Killed):
            collect_garbage(InterruptedStore(store, number), 30)
        assert_consistent(store)
        clean(store)
        assert layer_names(store) == set()


@pytest.mark.parametrize("profile", ["demo", "third"])
def test_gc_at_any_moment_of_a_push_removes_nothing_of_it(old: Old, tmp_path: Path, profile: str) -> None:
    """Pushes of the environment that expires, and of another one that shares layers with it."""
    names = ("six", "attrs") if profile == "demo" else ("six", "attrs", "idna", "toml")
    request = make_request(tmp_path, *names, python=PYTHON, profile=profile)
    count = InterruptedStore(old())
    push_quietly(count, request)
    for number in range(len(count.calls)):
        store = old()
        during = InterruptedStore(store, number, functools.partial(clean, store))
        push_quietly(during, request)
        assert during.done
        assert _has(store, request.lock.pins_digest)
        assert_consistent(store)


@pytest.mark.parametrize("profile", ["demo", "third"])
def test_a_push_at_any_moment_of_a_gc_is_complete(old: Old, tmp_path: Path, profile: str) -> None:
    names = ("six", "attrs") if profile == "demo" else ("six", "attrs", "idna", "toml")
    request = make_request(tmp_path, *names, python=PYTHON, profile=profile)
    count = InterruptedStore(old())
    collect_garbage(count, 30, wall=lambda: 0.0)
    for number in range(1, len(count.calls)):
        store, clock = old(), FakeClock()

        def work(store: AgingStore = store, clock: FakeClock = clock) -> None:
            push_quietly(store, request)
            clock.now += 60.0

        # Not right before a removal: a gc that pauses there for longer than pushes wait may remove too much, and
        # then a restore installs what is missing.
        during = InterruptedStore(store, number, work, spared=("delete",))
        collect_garbage(during, 30, clock=clock)
        if during.done:
            assert _has(store, request.lock.pins_digest)
            assert_consistent(store)


def test_a_push_that_ends_at_any_moment_of_a_gc_is_complete(old: Old, tmp_path: Path) -> None:
    """The push began before the gc, so it has seen the expired manifest and does not send its layers."""
    request = make_request(tmp_path, "six", "attrs", python=PYTHON, profile="demo")
    expired = old()
    name = manifest_name(request.lock.pins_digest, TAG)
    others = f"{MANIFESTS}{TAG}/{'d' * 64}.json"
    intent = json.dumps({"tag": TAG, "wheels": list(request.wheels.values()), "python": PYTHON}).encode()
    moments = 0
    for number in range(30):
        store = old()
        store.write(f"{PUSHING}running.json", intent)

        def ends(store: AgingStore = store) -> None:
            store.write(others, expired.objects[name])
            store.delete(f"{PUSHING}running.json")

        during = InterruptedStore(store, number, ends, spared=("delete",))
        collect_garbage(during, 30)
        if during.done:
            moments += 1
            assert others in store.objects
            assert_consistent(store)
    assert moments > 10


def test_a_push_waits_for_a_running_gc(tmp_path: Path) -> None:
    store, waited = AgingStore(), list[float]()
    mark = f"{REMOVING}1.json"
    store.write(mark, b"{}")

    def pause(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            store.delete(mark)

    push_quietly(store, make_request(tmp_path, "six"), pause=pause)
    assert len(waited) == 3
    store.write(mark, b"{}")
    waited[:] = [0.0] * 5
    push_quietly(store, make_request(tmp_path, "six"), pause=pause)
    assert sum(waited) == 10.0


def test_managed_pythons_go_with_the_last_environment_of_their_tag(old: Old) -> None:
    store = old()
    assert len(store.entries(PYTHONS)) == 1
    clean(store)
    assert store.entries(PYTHONS) == store.entries(USED) == []


def _has(store: AgingStore, lock: str) -> bool:
    try:
        store.read(manifest_name(lock, TAG))
    except NotInStoreError:
        return False
    return True
