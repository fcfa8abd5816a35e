"""Restore sessions: what they find, how long they wait, and what they leave."""

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
from support.patience import PATIENCE

WHEELS = {name: f"{number:064x}" for number, name in enumerate(("six", "idna", "attrs"), start=1)}
LAYERS = {name: make_package_layer(name, "1.0", wheel) for name, wheel in WHEELS.items()}


def lock(*names: str) -> Lock:
    pins = tuple(Pin(name, "1.0", (f"sha256:{WHEELS[name]}",)) for name in sorted(names))
    return Lock(Header("demo", "0" * 64, "3.11", "cpu", "plain", ""), pins)


ALL = lock(*WHEELS)
#: Never gives up; test_throughput.py has the real limits.
CALM = RestoreLimits(answer=60, later_answer=60, min_elapsed=60)
QUICK = RestoreLimits(
    answer=0.3, later_answer=0.3, min_elapsed=0.4, min_download=0.2, silence=0.3, interval=0.05
)


class Log:
    """Collects log lines."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, text: str) -> None:
        self.text += text


def open_session(
    store: StoreBackend | Callable[[], StoreBackend], log: Log | None = None, limits: RestoreLimits = CALM
) -> RestoreSession:
    return RestoreSession(store if callable(store) else lambda: store, log or Log(), limits)


def wait(session: RestoreSession) -> None:
    session.stored_layers()
    while not session.wait(0.1):
        pass


def test_a_lock_with_its_own_manifest(tmp_path: Path) -> None:
    store = MemoryStore()
    manifest = put_manifest(store, ALL.pins_digest, *LAYERS.values())
    session = open_session(store)
    session.begin(ALL, TAG, tmp_path)
    found = session.stored_layers()
    assert found is not None
    assert found.layers == {layer.name: layer for layer in manifest.layers}
    assert found.manifests == (manifest_name(ALL.pins_digest, TAG),)
    wait(session)
    assert {name for name, download in session.downloads().items() if download.complete} == set(WHEELS)
    assert session.url == "memory"
    (staging,) = tmp_path.iterdir()
    assert staging.name.startswith(STAGING)
    session.close()
    assert list(tmp_path.iterdir()) == []


def test_a_busy_store_is_asked_again(tmp_path: Path) -> None:
    """A bucket that a whole class reads at once answers 503 for a while."""
    store = MemoryStore(broken={"manifests/": 2, "layers/": 3})
    put_manifest(store, ALL.pins_digest, *LAYERS.values())
    session = open_session(store)
    session.begin(ALL, TAG, tmp_path)
    found = session.stored_layers()
    assert found is not None
    assert set(found.layers) == set(WHEELS)
    wait(session)
    assert all(download.complete for download in session.downloads().values())
    session.close()


def test_a_new_lock_restores_what_it_shares_with_others(tmp_path: Path) -> None:
    store = MemoryStore()
    put_manifest(store, lock("six").pins_digest, LAYERS["six"])
    put_manifest(store, lock("idna").pins_digest, LAYERS["idna"])
    # A layer of the same name from another wheel is not the lock's.
    put_manifest(store, "f" * 64, make_package_layer("attrs", "1.0", "e" * 64))
    session = open_session(store)
    session.begin(ALL, TAG, tmp_path)
    found = session.stored_layers()
    assert found is not None
    assert set(found.layers) == {"six", "idna"}
    assert len(found.manifests) == 2
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
    session.begin(lock("six", "idna"), TAG, tmp_path, fetch=False)
    found = session.stored_layers()
    assert found is not None
    assert set(found.layers) == {"six"}
    assert len([name for name in store.reads if name.startswith("manifests/")]) == 1 + 16
    session.close()


class NoListing(MemoryStore):
    """A web server: nothing is listed."""

    def entries(self, prefix: str = "") -> list[StoredObject]:
        raise StoreError(f"{self.url} cannot list {prefix}.")


def test_a_store_that_cannot_list(tmp_path: Path) -> None:
    session = open_session(NoListing())
    session.begin(ALL, TAG, tmp_path)
    found = session.stored_layers()
    assert found is not None
    assert found.layers == {}
    assert session.problem == ""
    session.close()


@pytest.mark.parametrize("kind", ["another lock", "another tag", "cut off", "garbage"])
def test_a_wrong_manifest_is_ignored(tmp_path: Path, kind: str) -> None:
    store = MemoryStore()
    name = manifest_name(ALL.pins_digest, TAG)
    layers = tuple(layer for layer, _ in LAYERS.values())
    other = Manifest("c" * 64, TAG, "demo", "cpu", "3.11.7", 1, layers)
    own = Manifest(ALL.pins_digest, "cp310-linux_x86_64", "demo", "cpu", "3.10.1", 1, layers)
    store.objects[name] = {
        "another lock": dump_manifest(other),
        "another tag": dump_manifest(own),
        "cut off": dump_manifest(other)[:-40],
        "garbage": b"\x00" * 50,
    }[kind]
    session = open_session(store)
    session.begin(ALL, TAG, tmp_path)
    found = session.stored_layers()
    assert found is not None
    assert found.layers == {}
    assert session.problem == ""
    assert len(session.notes) == (kind != "another tag")
    session.close()


def test_a_silent_store_times_out(tmp_path: Path) -> None:
    store = MemoryStore(waiting="manifests/")
    put_manifest(store, ALL.pins_digest, *LAYERS.values())
    session = open_session(store, limits=QUICK)
    session.begin(ALL, TAG, tmp_path)
    assert session.stored_layers() is None
    assert "did not answer" in session.problem
    # Where nothing else is left to install from, it is waited for.
    threading.Timer(0.1, store.let_go.set).start()
    session.wait_longer()
    wait(session)
    assert all(download.complete for download in session.downloads().values())
    assert set(session.downloads()) == set(WHEELS)
    session.close()


def test_silent_downloads_are_given_up(tmp_path: Path) -> None:
    store = MemoryStore(waiting="layers/")
    put_manifest(store, ALL.pins_digest, *LAYERS.values())
    log = Log()
    session = open_session(store, log, replace(QUICK, answer=60, later_answer=60))
    session.begin(ALL, TAG, tmp_path)
    wait(session)
    assert "sent nothing" in session.problem
    assert "given up" in log.text
    store.let_go.set()
    session.wait_longer()
    wait(session)
    assert all(download.complete for download in session.downloads().values())
    session.close()


def test_an_error_while_opening_is_reported(tmp_path: Path) -> None:
    def opening() -> StoreBackend:
        raise StoreError("The library for gs:// is not installed.")

    session = open_session(opening)
    session.begin(ALL, TAG, tmp_path)
    assert session.stored_layers() is None
    assert session.problem == "The library for gs:// is not installed."
    assert session.url == ""
    session.close()


def test_an_invalid_url_is_raised(tmp_path: Path) -> None:
    def opening() -> StoreBackend:
        raise UsageError("A store cannot be at an ftp:// address.")

    session = open_session(opening)
    session.begin(ALL, TAG, tmp_path)
    with pytest.raises(UsageError):
        session.stored_layers()
    session.close()


def test_closing_during_a_download_leaves_nothing(tmp_path: Path) -> None:
    store = MemoryStore(delay=0.01)
    put_manifest(
        store,
        ALL.pins_digest,
        *[make_package_layer(name, "1.0", wheel, parts=50) for name, wheel in WHEELS.items()],
    )
    session = open_session(store)
    session.begin(ALL, TAG, tmp_path)
    session.stored_layers()
    session.close()
    assert list(tmp_path.iterdir()) == []
    time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_restore_are_removed(tmp_path: Path) -> None:
    (tmp_path / f"{STAGING}dead" / "3").mkdir(parents=True)
    (tmp_path / "environment").mkdir()
    store = MemoryStore()
    put_manifest(store, ALL.pins_digest, *LAYERS.values())
    session = open_session(store)
    session.begin(ALL, TAG, tmp_path)
    session.stored_layers()
    assert not (tmp_path / f"{STAGING}dead").exists()
    session.close()
    assert [path.name for path in tmp_path.iterdir()] == ["environment"]


def test_use_is_recorded_at_most_once_a_day(tmp_path: Path) -> None:
    store = MemoryStore()
    put_manifest(store, ALL.pins_digest, *LAYERS.values())
    mark = manifest_name(ALL.pins_digest, TAG).replace("manifests/", "used/").removesuffix(".json")
    day = 24 * 3600
    for now, written in ((10.0 * day, True), (10.5 * day, False), (11.5 * day, True)):
        before = store.objects.get(mark)
        session = open_session(store)
        session.begin(ALL, TAG, tmp_path, fetch=False)
        session.stored_layers()
        session.record_use(now)
        deadline = time.monotonic() + (PATIENCE if written else 0.3)
        while store.objects.get(mark) == before and time.monotonic() < deadline:
            time.sleep(0.005)
        assert (store.objects.get(mark) != before) is written
        if written:
            store.modified[mark] = now
        session.close()


def interpreter(version: str) -> tuple[Layer, bytes]:
    return make_layer(
        "python",
        f"cpython-{version}-linux-x86_64-gnu",
        "",
        [make_chunk({"bin/python3.11": b"#!/bin/sh\n"})],
        1,
    )


def with_python(store: MemoryStore, version: str) -> None:
    layer, data = interpreter(version)
    store.objects[layer.object_name(TAG)] = data
    manifest = Manifest("0" * 64, TAG, "demo", "cpu", version, 1, (), layer)
    store.objects[python_manifest_name(TAG)] = dump_manifest(manifest)


def test_restore_python(tmp_path: Path) -> None:
    store = MemoryStore()
    with_python(store, "3.11.9")
    session = open_session(store)
    assert session.restore_python("3.11.8", TAG, tmp_path) is None
    root = session.restore_python("3.11", TAG, tmp_path)
    assert root == tmp_path / "cpython-3.11.9-linux-x86_64-gnu"
    assert (root / "bin" / "python3.11").read_text() == "#!/bin/sh\n"
    # One that is there was passed over for a reason.
    assert session.restore_python("3.11", TAG, tmp_path) is None
    session.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".restoring.lock", root.name]


def test_the_python_of_the_locks_manifest_comes_first(tmp_path: Path) -> None:
    store = MemoryStore()
    with_python(store, "3.11.9")
    layer, data = interpreter("3.11.5")
    store.objects[layer.object_name(TAG)] = data
    put_manifest(store, ALL.pins_digest, *LAYERS.values(), interpreter=layer)
    session = open_session(store)
    session.begin(ALL, TAG, tmp_path / "envs")
    root = session.restore_python("3.11", TAG, tmp_path / "pythons")
    assert root is not None
    assert root.name == "cpython-3.11.5-linux-x86_64-gnu"
    wait(session)
    assert all(download.complete for download in session.downloads().values())
    session.close()


@pytest.mark.parametrize("kind", ["flipped", "absent", "no python named", "another tag's"])
def test_a_missing_or_damaged_python_is_not_restored(tmp_path: Path, kind: str) -> None:
    store = MemoryStore()
    with_python(store, "3.11.9")
    (name,) = (name for name in store.objects if name.startswith("layers/"))
    if kind == "flipped":
        store.objects[name] = bytes([store.objects[name][0] ^ 1]) + store.objects[name][1:]
    elif kind == "absent":
        del store.objects[name]
    elif kind == "no python named":
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
