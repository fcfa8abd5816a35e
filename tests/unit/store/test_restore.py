"""Restore sessions: the layers they find, how long they wait, and what they clean up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from colabenv.errors import StoreError, UsageError
from colabenv.lock.lockfile import Header, Lock, Pin
from colabenv.store.backends.base import StoreBackend, StoredObject
from colabenv.store.manifest import Layer, Manifest, dump_manifest, manifest_name, python_manifest_name
from colabenv.store.restore import STAGING, RestoreSession
from colabenv.store.throughput import RestoreLimits
from support.memory_store import TAG, MemoryStore, make_chunk, make_layer, make_package_layer, put_manifest
from support.timeouts import TIMEOUT

WHEELS = {name: f"{number:064x}" for number, name in enumerate(("six", "idna", "attrs"), start=1)}
LAYERS = {name: make_package_layer(name, "1.0", wheel) for name, wheel in WHEELS.items()}


def make_lock(*names: str) -> Lock:
    pins = tuple(Pin(name, "1.0", (f"sha256:{WHEELS[name]}",)) for name in sorted(names))
    return Lock(Header("demo", "0" * 64, "3.11", "cpu", "plain", ""), pins)


LOCK = make_lock(*WHEELS)
#: Limits that no test reaches; test_throughput.py tests the default limits.
PATIENT = RestoreLimits(answer=60, later_answer=60, min_elapsed=60)
IMPATIENT = RestoreLimits(
    answer=0.3, later_answer=0.3, min_elapsed=0.4, min_download=0.2, silence=0.3, interval=0.05
)


class Log:
    """Collects the text of the log."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, text: str) -> None:
        self.text += text


def open_session(
    store: StoreBackend | Callable[[], StoreBackend], log: Log | None = None, limits: RestoreLimits = PATIENT
) -> RestoreSession:
    return RestoreSession(store if callable(store) else lambda: store, log or Log(), limits)


def wait_for_downloads(session: RestoreSession) -> None:
    session.stored_layers()
    while not session.wait(0.1):
        pass


def test_layers_of_the_locks_manifest_are_downloaded(tmp_path: Path) -> None:
    store = MemoryStore()
    manifest = put_manifest(store, LOCK.pins_digest, *LAYERS.values())
    session = open_session(store)
    session.begin(LOCK, TAG, tmp_path)
    stored = session.stored_layers()
    assert stored is not None
    assert stored.layers == {layer.name: layer for layer in manifest.layers}
    assert stored.manifests == (manifest_name(LOCK.pins_digest, TAG),)
    wait_for_downloads(session)
    assert {name for name, download in session.downloads().items() if download.complete} == set(WHEELS)
    assert session.url == "memory"
    (staging,) = tmp_path.iterdir()
    assert staging.name.startswith(STAGING)
    session.close()
    assert list(tmp_path.iterdir()) == []


def test_failed_reads_are_retried(tmp_path: Path) -> None:
    """A bucket that a whole class reads at once answers 503 for a while."""
    store = MemoryStore(broken={"manifests/": 2, "layers/": 3})
    put_manifest(store, LOCK.pins_digest, *LAYERS.values())
    session = open_session(store)
    session.begin(LOCK, TAG, tmp_path)
    stored = session.stored_layers()
    assert stored is not None
    assert set(stored.layers) == set(WHEELS)
    wait_for_downloads(session)
    assert all(download.complete for download in session.downloads().values())
    session.close()


def test_new_lock_restores_layers_from_other_manifests(tmp_path: Path) -> None:
    store = MemoryStore()
    put_manifest(store, make_lock("six").pins_digest, LAYERS["six"])
    put_manifest(store, make_lock("idna").pins_digest, LAYERS["idna"])
    # A layer of the same package from a wheel that is not in the lock.
    put_manifest(store, "f" * 64, make_package_layer("attrs", "1.0", "e" * 64))
    session = open_session(store)
    session.begin(LOCK, TAG, tmp_path)
    stored = session.stored_layers()
    assert stored is not None
    assert set(stored.layers) == {"six", "idna"}
    assert len(stored.manifests) == 2
    session.close()


def test_only_the_newest_other_manifests_are_read(tmp_path: Path) -> None:
    store = MemoryStore()
    for number in range(40):
        digest = f"{number:064x}"
        put_manifest(store, digest, make_package_layer("other", "1.0", digest))
        store.modified[manifest_name(digest, TAG)] = number
    put_manifest(store, "e" * 64, LAYERS["six"])
    store.modified[manifest_name("e" * 64, TAG)] = 1000
    session = open_session(store)
    session.begin(make_lock("six", "idna"), TAG, tmp_path, fetch=False)
    stored = session.stored_layers()
    assert stored is not None
    assert set(stored.layers) == {"six"}
    assert len([name for name in store.reads if name.startswith("manifests/")]) == 1 + 16
    session.close()


class StoreWithoutListing(MemoryStore):
    """A store that cannot list objects, such as a web server."""

    def entries(self, prefix: str = "") -> list[StoredObject]:
        raise StoreError(f"{self.url} cannot list {prefix}.")


def test_store_that_cannot_list_objects_is_not_a_problem(tmp_path: Path) -> None:
    session = open_session(StoreWithoutListing())
    session.begin(LOCK, TAG, tmp_path)
    stored = session.stored_layers()
    assert stored is not None
    assert stored.layers == {}
    assert session.problem == ""
    session.close()


@pytest.mark.parametrize("kind", ["another lock", "another tag", "truncated", "garbage"])
def test_invalid_manifest_is_ignored(tmp_path: Path, kind: str) -> None:
    store = MemoryStore()
    name = manifest_name(LOCK.pins_digest, TAG)
    layers = tuple(layer for layer, _ in LAYERS.values())
    other_lock = Manifest("c" * 64, TAG, "demo", "cpu", "3.11.7", 1, layers)
    other_tag = Manifest(LOCK.pins_digest, "cp310-linux_x86_64", "demo", "cpu", "3.10.1", 1, layers)
    store.objects[name] = {
        "another lock": dump_manifest(other_lock),
        "another tag": dump_manifest(other_tag),
        "truncated": dump_manifest(other_lock)[:-40],
        "garbage": b"\x00" * 50,
    }[kind]
    session = open_session(store)
    session.begin(LOCK, TAG, tmp_path)
    stored = session.stored_layers()
    assert stored is not None
    assert stored.layers == {}
    assert session.problem == ""
    assert len(session.notes) == (kind != "another tag")
    session.close()


def test_store_that_does_not_answer_times_out(tmp_path: Path) -> None:
    store = MemoryStore(waiting="manifests/")
    put_manifest(store, LOCK.pins_digest, *LAYERS.values())
    session = open_session(store, limits=IMPATIENT)
    session.begin(LOCK, TAG, tmp_path)
    assert session.stored_layers() is None
    assert "did not answer" in session.problem
    # If the package index is unreachable too, `up` waits for the store.
    threading.Timer(0.1, store.resume.set).start()
    session.wait_longer()
    wait_for_downloads(session)
    assert all(download.complete for download in session.downloads().values())
    assert set(session.downloads()) == set(WHEELS)
    session.close()


def test_stalled_downloads_time_out(tmp_path: Path) -> None:
    store = MemoryStore(waiting="layers/")
    put_manifest(store, LOCK.pins_digest, *LAYERS.values())
    log = Log()
    session = open_session(store, log, replace(IMPATIENT, answer=60, later_answer=60))
    session.begin(LOCK, TAG, tmp_path)
    wait_for_downloads(session)
    assert "sent nothing" in session.problem
    assert "given up" in log.text
    store.resume.set()
    session.wait_longer()
    wait_for_downloads(session)
    assert all(download.complete for download in session.downloads().values())
    session.close()


def test_error_of_opening_the_store_is_reported(tmp_path: Path) -> None:
    def open_store() -> StoreBackend:
        raise StoreError("The library for gs:// is not installed.")

    session = open_session(open_store)
    session.begin(LOCK, TAG, tmp_path)
    assert session.stored_layers() is None
    assert session.problem == "The library for gs:// is not installed."
    assert session.url == ""
    session.close()


def test_usage_error_of_opening_the_store_is_raised(tmp_path: Path) -> None:
    def open_store() -> StoreBackend:
        raise UsageError("A store cannot be at an ftp:// address.")

    session = open_session(open_store)
    session.begin(LOCK, TAG, tmp_path)
    with pytest.raises(UsageError):
        session.stored_layers()
    session.close()


def test_close_during_a_download_removes_all_files(tmp_path: Path) -> None:
    store = MemoryStore(delay=0.01)
    put_manifest(
        store,
        LOCK.pins_digest,
        *[make_package_layer(name, "1.0", wheel, parts=50) for name, wheel in WHEELS.items()],
    )
    session = open_session(store)
    session.begin(LOCK, TAG, tmp_path)
    session.stored_layers()
    session.close()
    assert list(tmp_path.iterdir()) == []
    time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_restore_are_removed(tmp_path: Path) -> None:
    (tmp_path / f"{STAGING}dead" / "3").mkdir(parents=True)
    (tmp_path / "environment").mkdir()
    store = MemoryStore()
    put_manifest(store, LOCK.pins_digest, *LAYERS.values())
    session = open_session(store)
    session.begin(LOCK, TAG, tmp_path)
    session.stored_layers()
    assert not (tmp_path / f"{STAGING}dead").exists()
    session.close()
    assert [path.name for path in tmp_path.iterdir()] == ["environment"]


def test_use_is_recorded_at_most_once_a_day(tmp_path: Path) -> None:
    store = MemoryStore()
    put_manifest(store, LOCK.pins_digest, *LAYERS.values())
    usage = manifest_name(LOCK.pins_digest, TAG).replace("manifests/", "used/").removesuffix(".json")
    day = 24 * 3600
    for now, recorded in ((10.0 * day, True), (10.5 * day, False), (11.5 * day, True)):
        before = store.objects.get(usage)
        session = open_session(store)
        session.begin(LOCK, TAG, tmp_path, fetch=False)
        session.stored_layers()
        session.record_use(now)
        deadline = time.monotonic() + (TIMEOUT if recorded else 0.3)
        while store.objects.get(usage) == before and time.monotonic() < deadline:
            time.sleep(0.005)
        assert (store.objects.get(usage) != before) is recorded
        if recorded:
            store.modified[usage] = now
        session.close()


def make_python_layer(version: str) -> tuple[Layer, bytes]:
    return make_layer(
        "python",
        f"cpython-{version}-linux-x86_64-gnu",
        "",
        [make_chunk({"bin/python3.11": b"#!/bin/sh\n"})],
        1,
    )


def put_python(store: MemoryStore, version: str) -> None:
    """Put a managed Python into a store."""
    layer, data = make_python_layer(version)
    store.objects[layer.object_name(TAG)] = data
    manifest = Manifest("0" * 64, TAG, "demo", "cpu", version, 1, (), layer)
    store.objects[python_manifest_name(TAG)] = dump_manifest(manifest)


def test_restore_python(tmp_path: Path) -> None:
    store = MemoryStore()
    put_python(store, "3.11.9")
    session = open_session(store)
    assert session.restore_python("3.11.8", TAG, tmp_path) is None
    root = session.restore_python("3.11", TAG, tmp_path)
    assert root == tmp_path / "cpython-3.11.9-linux-x86_64-gnu"
    assert (root / "bin" / "python3.11").read_text() == "#!/bin/sh\n"
    # A Python that exists is not replaced: it was not used for a reason.
    assert session.restore_python("3.11", TAG, tmp_path) is None
    session.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".restoring.lock", root.name]


def test_python_of_the_locks_manifest_is_preferred(tmp_path: Path) -> None:
    store = MemoryStore()
    put_python(store, "3.11.9")
    layer, data = make_python_layer("3.11.5")
    store.objects[layer.object_name(TAG)] = data
    put_manifest(store, LOCK.pins_digest, *LAYERS.values(), interpreter=layer)
    session = open_session(store)
    session.begin(LOCK, TAG, tmp_path / "envs")
    root = session.restore_python("3.11", TAG, tmp_path / "pythons")
    assert root is not None
    assert root.name == "cpython-3.11.5-linux-x86_64-gnu"
    wait_for_downloads(session)
    assert all(download.complete for download in session.downloads().values())
    session.close()


@pytest.mark.parametrize("kind", ["damaged layer", "missing layer", "no manifest", "manifest of another tag"])
def test_missing_or_damaged_python_is_not_restored(tmp_path: Path, kind: str) -> None:
    store = MemoryStore()
    put_python(store, "3.11.9")
    (name,) = (name for name in store.objects if name.startswith("layers/"))
    if kind == "damaged layer":
        store.objects[name] = bytes([store.objects[name][0] ^ 1]) + store.objects[name][1:]
    elif kind == "missing layer":
        del store.objects[name]
    elif kind == "no manifest":
        del store.objects[python_manifest_name(TAG)]
    else:
        tag = "cp310-linux_x86_64"
        store.objects[python_manifest_name(TAG)] = dump_manifest(
            Manifest("0" * 64, tag, "d", "cpu", "3.10.1", 1, ())
        )
    session = open_session(store)
    assert session.restore_python("3.11", TAG, tmp_path) is None
    session.close()
    assert [path.name for path in tmp_path.iterdir() if path.name != ".restoring.lock"] == []
