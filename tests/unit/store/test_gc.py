"""The contents of a store, and which objects `store gc` removes."""

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


MakeStore = Callable[..., AgingStore]


def collect(store: AgingStore, days: float = 30, *, dry_run: bool = False) -> list[str]:
    """Collect garbage, and return the names of the removed objects."""
    return [removed.name for removed in collect_garbage(store, days, dry_run=dry_run, wall=lambda: store.now)]


@pytest.fixture(scope="module")
def make_old_store(tmp_path_factory: pytest.TempPathFactory) -> MakeStore:
    """Return a function that makes stores with two old environments, which share a package and a Python."""
    folder, store = tmp_path_factory.mktemp("old"), AgingStore()
    push_quietly(store, make_request(folder, "six", "attrs", python=PYTHON))
    push_quietly(store, make_request(folder, "six", "idna", python=PYTHON, profile="other"))

    def copy(age: float = 40 * DAY) -> AgingStore:
        return AgingStore(objects=dict(store.objects), modified=dict(store.modified), now=store.now + age)

    return copy


def test_read_contents(make_old_store: MakeStore, tmp_path: Path) -> None:
    store = make_old_store(age=3600.0)
    store.write(f"{LAYERS}{TAG}/{'0' * 64}-{'0' * 32}.layer", b"12345")
    store.write(usage_name(manifest_name(make_request(tmp_path, "six", "attrs").lock.pins_digest, TAG)), b"x")
    store.write(f"{MANIFESTS}{TAG}/{'f' * 64}.json", b"{")
    contents = read_contents(store)
    demo, other = contents.environments
    assert (demo.manifest.profile, other.manifest.profile) == ("demo", "other")
    sizes = {name: len(data) for name, data in store.objects.items()}
    assert demo.bytes == sum(sizes[name] for name in demo.manifest.objects())
    shared = set(demo.manifest.objects()) & set(other.manifest.objects())
    assert (demo.shared, len(shared)) == (sum(sizes[name] for name in shared), 2)
    assert (demo.used - other.used, demo.made - other.made) == (3600.0, 0.0)
    assert (contents.layers, contents.loose, contents.bytes) == (5, 5, sum(sizes.values()))
    ((name, reason),) = contents.damaged
    assert name.endswith(f"{'f' * 64}.json")
    assert "not a manifest" in reason


def test_empty_store_has_nothing_to_remove() -> None:
    contents = read_contents(AgingStore())
    assert (contents.environments, contents.bytes) == ((), 0)
    assert collect(AgingStore()) == []


def test_recently_used_environments_are_kept(make_old_store: MakeStore) -> None:
    store = make_old_store(age=29 * DAY)
    before = dict(store.objects)
    assert collect(store) == []
    assert store.objects == before


def test_unused_environment_is_removed_with_the_layers_that_only_it_uses(
    make_old_store: MakeStore, tmp_path: Path
) -> None:
    store = make_old_store()
    used = manifest_name(make_request(tmp_path, "six", "idna").lock.pins_digest, TAG)
    store.write(usage_name(used), b"2026-11-22")
    removed = collect(store)
    assert len(removed) == 2
    assert removed[0].startswith(MANIFESTS)
    assert fake_wheel_hash("attrs") in removed[1]
    assert [manifest.profile for manifest in read_manifests(store)] == ["other"]
    assert len(layer_names(store)) == 3
    assert_consistent(store)


def test_files_that_are_not_part_of_the_store_are_kept(make_old_store: MakeStore) -> None:
    store = make_old_store()
    store.write(usage_name(f"{MANIFESTS}{TAG}/{'a' * 64}.json"), b"x")
    store.modified[usage_name(f"{MANIFESTS}{TAG}/{'a' * 64}.json")] = 0.0
    store.write("README.txt", b"text")
    collect(store)
    assert list(store.objects) == ["README.txt"]


def test_dry_run_reports_what_a_run_removes(make_old_store: MakeStore) -> None:
    store = make_old_store()
    before = dict(store.objects)
    reported = collect(store, dry_run=True)
    assert store.objects == before
    assert reported == collect(store)
    assert store.objects == {}


def test_layers_in_no_manifest_are_removed_after_a_day(make_old_store: MakeStore) -> None:
    store = make_old_store(age=0.0)
    unused = f"{LAYERS}{TAG}/{'0' * 64}-{'0' * 32}.layer"
    store.write(unused, b"half")
    assert collect(store) == []
    store.now += 2 * DAY
    assert collect(store) == [unused]
    assert_consistent(store)


def test_leftovers_of_an_interrupted_push_are_removed_after_a_day(tmp_path: Path) -> None:
    request = make_request(tmp_path, "six", "attrs", python=PYTHON)
    store = AgingStore()
    uninterrupted = InterruptedStore(AgingStore())
    push_quietly(uninterrupted, request)
    with pytest.raises(Killed):
        push_quietly(InterruptedStore(store, uninterrupted.calls.index("upload") + 2), request)
    assert len(store.entries(PUSHING)) == 1
    assert layer_names(store), "at least one layer was sent; how many depends on the threads"
    store.now += 0.9 * DAY
    assert collect(store) == []
    store.now += DAY
    collect(store)
    assert store.objects == {}


def test_layers_of_a_running_push_are_kept(make_old_store: MakeStore) -> None:
    store = make_old_store()
    push_record = {"tag": TAG, "wheels": [fake_wheel_hash("attrs")], "python": PYTHON}
    store.write(f"{PUSHING}abc.json", json.dumps(push_record).encode())
    collect(store)
    assert {layer.name.split("/")[-1].split("-")[0] for layer in store.entries(LAYERS)} == {
        "python",
        fake_wheel_hash("attrs"),
    }


def test_manifest_in_an_unknown_format_keeps_all_layers_until_it_expires(make_old_store: MakeStore) -> None:
    store = make_old_store()
    newer = f"{MANIFESTS}{TAG}/{'e' * 64}.json"
    store.write(newer, b'{"digest":"x","manifest":{"format":99}}\n')
    layers = layer_names(store)
    collect(store)
    assert layer_names(store) == layers
    assert newer in store.objects
    store.now += 31 * DAY
    collect(store)
    assert store.objects == {}


def test_damaged_manifest_is_removed_after_a_day(make_old_store: MakeStore) -> None:
    store = make_old_store(age=0.0)
    broken = f"{MANIFESTS}{TAG}/{'e' * 64}.json"
    store.write(broken, b"{")
    assert collect(store) == []
    store.now += 2 * DAY
    assert collect(store) == [broken]


def test_nothing_is_removed_if_manifests_cannot_be_read(make_old_store: MakeStore) -> None:
    store = make_old_store(age=2 * DAY)
    store.broken[MANIFESTS] = 1
    with pytest.raises(StoreError):
        collect(store)
    assert len(layer_names(store)) == 4
    assert store.entries(PUSHING) == []


def test_ages_do_not_depend_on_the_clock_of_this_machine(make_old_store: MakeStore) -> None:
    store = make_old_store(age=DAY)
    assert collect_garbage(store, 30, wall=lambda: store.now + 400 * DAY) == ()


def test_read_only_store_allows_only_a_dry_run(make_old_store: MakeStore) -> None:
    store = make_old_store()
    store.writable = False
    with pytest.raises(StoreError, match="cannot be written to") as caught:
        collect_garbage(store, 30)
    assert "folder or bucket" in caught.value.hint
    assert len(collect(store, dry_run=True)) > 5


def test_killed_gc_leaves_a_consistent_store(make_old_store: MakeStore) -> None:
    uninterrupted = InterruptedStore(make_old_store())
    collect_garbage(uninterrupted, 30)
    assert len(uninterrupted.calls) > 15
    for number in range(len(uninterrupted.calls)):
        store = make_old_store()
        with pytest.raises(Killed):
            collect_garbage(InterruptedStore(store, number), 30)
        assert_consistent(store)
        collect(store)
        assert layer_names(store) == set()


@pytest.mark.parametrize(
    ("profile", "names"), [("demo", ("six", "attrs")), ("third", ("six", "attrs", "idna", "toml"))]
)
def test_gc_during_a_push_removes_nothing_of_it(
    make_old_store: MakeStore, tmp_path: Path, profile: str, names: tuple[str, ...]
) -> None:
    """`demo` is the environment that expires, and `third` shares layers with it."""
    request = make_request(tmp_path, *names, python=PYTHON, profile=profile)
    uninterrupted = InterruptedStore(make_old_store())
    push_quietly(uninterrupted, request)
    for number in range(len(uninterrupted.calls)):
        store = make_old_store()
        interrupted = InterruptedStore(store, number, functools.partial(collect, store))
        push_quietly(interrupted, request)
        assert interrupted.done
        assert has_manifest(store, request.lock.pins_digest)
        assert_consistent(store)


@pytest.mark.parametrize(
    ("profile", "names"), [("demo", ("six", "attrs")), ("third", ("six", "attrs", "idna", "toml"))]
)
def test_push_during_a_gc_is_complete(
    make_old_store: MakeStore, tmp_path: Path, profile: str, names: tuple[str, ...]
) -> None:
    request = make_request(tmp_path, *names, python=PYTHON, profile=profile)
    uninterrupted = InterruptedStore(make_old_store())
    collect_garbage(uninterrupted, 30, wall=lambda: 0.0)
    for number in range(1, len(uninterrupted.calls)):
        store, clock = make_old_store(), FakeClock()

        def push(store: AgingStore = store, clock: FakeClock = clock) -> None:
            push_quietly(store, request)
            clock.now += 60.0

        # Not right before a removal: if gc pauses there for longer than pushes wait, it may remove too much. A
        # restore then installs the missing packages from the index.
        interrupted = InterruptedStore(store, number, push, spared=("delete",))
        collect_garbage(interrupted, 30, clock=clock)
        if interrupted.done:
            assert has_manifest(store, request.lock.pins_digest)
            assert_consistent(store)


def test_push_that_ends_during_a_gc_is_complete(make_old_store: MakeStore, tmp_path: Path) -> None:
    """The push began before the gc, so it found the expired manifest and does not send its layers."""
    request = make_request(tmp_path, "six", "attrs", python=PYTHON, profile="demo")
    expired = make_old_store()
    name = manifest_name(request.lock.pins_digest, TAG)
    pushed = f"{MANIFESTS}{TAG}/{'d' * 64}.json"
    push_record = {"tag": TAG, "wheels": list(request.wheels.values()), "python": PYTHON}
    interruptions = 0
    for number in range(30):
        store = make_old_store()
        store.write(f"{PUSHING}running.json", json.dumps(push_record).encode())

        def end_push(store: AgingStore = store) -> None:
            store.write(pushed, expired.objects[name])
            store.delete(f"{PUSHING}running.json")

        interrupted = InterruptedStore(store, number, end_push, spared=("delete",))
        collect_garbage(interrupted, 30)
        if interrupted.done:
            interruptions += 1
            assert pushed in store.objects
            assert_consistent(store)
    assert interruptions > 10


def test_push_waits_for_a_running_gc_but_not_longer_than_ten_seconds(tmp_path: Path) -> None:
    store, waited = AgingStore(), list[float]()
    gc_record = f"{REMOVING}1.json"
    store.write(gc_record, b"{}")

    def pause(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            store.delete(gc_record)

    push_quietly(store, make_request(tmp_path, "six"), pause=pause)
    assert len(waited) == 3
    store.write(gc_record, b"{}")
    waited[:] = [0.0] * 5
    push_quietly(store, make_request(tmp_path, "six"), pause=pause)
    assert sum(waited) == 10.0


def test_managed_python_is_removed_with_the_last_environment_of_its_tag(make_old_store: MakeStore) -> None:
    store = make_old_store()
    assert len(store.entries(PYTHONS)) == 1
    collect(store)
    assert store.entries(PYTHONS) == store.entries(USED) == []


def has_manifest(store: AgingStore, pins_digest: str) -> bool:
    try:
        store.read(manifest_name(pins_digest, TAG))
    except NotInStoreError:
        return False
    return True
