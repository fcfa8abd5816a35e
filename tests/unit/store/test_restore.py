"""What a session finds in a store, and that no store can hold `up` up for long or end it."""

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

WHEELS = {name: f"{number:064x}" for number, name in enumerate(("six", "idna", "attrs"), start=1)}
LAYERS = {name: make_package_layer(name, "1.0", wheel) for name, wheel in WHEELS.items()}


def lock(*names: str) -> Lock:
    pins = tuple(Pin(name, "1.0", (f"sha256:{WHEELS[name]}",)) for name in sorted(names))
    return Lock(Header("demo", "0" * 64, "3.11", "cpu", "plain", ""), pins)


ALL = lock(*WHEELS)
#: For stores that say nothing; what the real ones are is checked in test_pace.
CALM = RestoreLimits(answer=60, later_answer=60, min_elapsed=60)
QUICK = RestoreLimits(
    answer=0.3, later_answer=0.3, min_elapsed=0.4, min_download=0.2, silence=0.3, interval=0.05
)


class Log:
    """Keeps what is said for the log."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, text: str) -> None:
        self.text += text


def session(
    remote: StoreBackend | Callable[[], StoreBackend], log: Log | None = None, limits: RestoreLimits = CALM
) -> RestoreSession:
    return RestoreSession(remote if callable(remote) else lambda: remote, log or Log(), limits)


def wait(begun: RestoreSession) -> None:
    begun.stored_layers()
    while not begun.wait(0.1):
        pass


def test_a_lock_with_its_own_manifest(tmp_path: Path) -> None:
    remote = MemoryStore()
    manifest = put_manifest(remote, ALL.pins_digest, *LAYERS.values())
    begun = session(remote)
    begun.begin(ALL, TAG, tmp_path)
    found = begun.stored_layers()
    assert found is not None
    assert found.layers == {layer.name: layer for layer in manifest.layers}
    assert found.manifests == (manifest_name(ALL.pins_digest, TAG),)
    wait(begun)
    assert {name for name, download in begun.downloads().items() if download.complete} == set(WHEELS)
    assert begun.url == "memory"
    (staging,) = tmp_path.iterdir()
    assert staging.name.startswith(STAGING)
    begun.close()
    assert list(tmp_path.iterdir()) == []


def test_a_busy_store_is_asked_again(tmp_path: Path) -> None:
    """A bucket that a whole class reads at once answers 503 for a while."""
    remote = MemoryStore(broken={"manifests/": 2, "layers/": 3})
    put_manifest(remote, ALL.pins_digest, *LAYERS.values())
    begun = session(remote)
    begun.begin(ALL, TAG, tmp_path)
    found = begun.stored_layers()
    assert found is not None
    assert set(found.layers) == set(WHEELS)
    wait(begun)
    assert all(download.complete for download in begun.downloads().values())
    begun.close()


def test_a_new_lock_restores_what_it_shares_with_others(tmp_path: Path) -> None:
    remote = MemoryStore()
    put_manifest(remote, lock("six").pins_digest, LAYERS["six"])
    put_manifest(remote, lock("idna").pins_digest, LAYERS["idna"])
    # A layer of the same name from another wheel is not the lock's.
    put_manifest(remote, "f" * 64, make_package_layer("attrs", "1.0", "e" * 64))
    begun = session(remote)
    begun.begin(ALL, TAG, tmp_path)
    found = begun.stored_layers()
    assert found is not None
    assert set(found.layers) == {"six", "idna"}
    assert len(found.manifests) == 2
    begun.close()


def test_only_the_newest_other_manifests_are_read(tmp_path: Path) -> None:
    remote = MemoryStore()
    for number in range(40):
        digest = f"{number:064x}"
        put_manifest(remote, digest, make_package_layer("other", "1.0", digest))
        remote.modified[manifest_name(digest, TAG)] = number
    put_manifest(remote, "e" * 64, LAYERS["six"])
    remote.modified[manifest_name("e" * 64, TAG)] = 1000
    begun = session(remote)
    begun.begin(lock("six", "idna"), TAG, tmp_path, fetch=False)
    found = begun.stored_layers()
    assert found is not None
    assert set(found.layers) == {"six"}
    assert len([name for name in remote.reads if name.startswith("manifests/")]) == 1 + 16
    begun.close()


class NoListing(MemoryStore):
    """A web server: nothing is listed."""

    def entries(self, prefix: str = "") -> list[StoredObject]:
        raise StoreError(f"{self.url} cannot list {prefix}.")


def test_a_store_that_cannot_list(tmp_path: Path) -> None:
    begun = session(NoListing())
    begun.begin(ALL, TAG, tmp_path)
    found = begun.stored_layers()
    assert found is not None
    assert found.layers == {}
    assert begun.problem == ""
    begun.close()


@pytest.mark.parametrize("kind", ["another lock", "another tag", "cut off", "garbage"])
def test_a_wrong_manifest_is_ignored(tmp_path: Path, kind: str) -> None:
    remote = MemoryStore()
    name = manifest_name(ALL.pins_digest, TAG)
    layers = tuple(layer for layer, _ in LAYERS.values())
    other = Manifest("c" * 64, TAG, "demo", "cpu", "3.11.7", 1, layers)
    own = Manifest(ALL.pins_digest, "cp310-linux_x86_64", "demo", "cpu", "3.10.1", 1, layers)
    remote.objects[name] = {
        "another lock": dump_manifest(other),
        "another tag": dump_manifest(own),
        "cut off": dump_manifest(other)[:-40],
        "garbage": b"\x00" * 50,
    }[kind]
    begun = session(remote)
    begun.begin(ALL, TAG, tmp_path)
    found = begun.stored_layers()
    assert found is not None
    assert found.layers == {}
    assert begun.problem == ""
    assert len(begun.notes) == (kind != "another tag")
    begun.close()


def test_a_silent_store_times_out(tmp_path: Path) -> None:
    remote = MemoryStore(waiting="manifests/")
    put_manifest(remote, ALL.pins_digest, *LAYERS.values())
    begun = session(remote, limits=QUICK)
    started = time.monotonic()
    begun.begin(ALL, TAG, tmp_path)
    assert begun.stored_layers() is None
    assert time.monotonic() - started < 30
    assert "did not answer" in begun.problem
    # Where nothing else is left to install from, it is waited for.
    threading.Timer(0.1, remote.let_go.set).start()
    begun.wait_longer()
    wait(begun)
    assert all(download.complete for download in begun.downloads().values())
    assert set(begun.downloads()) == set(WHEELS)
    begun.close()


def test_silent_downloads_are_given_up(tmp_path: Path) -> None:
    remote = MemoryStore(waiting="layers/")
    put_manifest(remote, ALL.pins_digest, *LAYERS.values())
    log = Log()
    begun = session(remote, log, replace(QUICK, answer=60, later_answer=60))
    begun.begin(ALL, TAG, tmp_path)
    started = time.monotonic()
    wait(begun)
    assert time.monotonic() - started < 30
    assert "sent nothing" in begun.problem
    assert "given up" in log.text
    remote.let_go.set()
    begun.wait_longer()
    wait(begun)
    assert all(download.complete for download in begun.downloads().values())
    begun.close()


def test_an_opening_error_is_the_problem(tmp_path: Path) -> None:
    def opening() -> StoreBackend:
        raise StoreError("The library for gs:// is not installed.")

    begun = session(opening)
    begun.begin(ALL, TAG, tmp_path)
    assert begun.stored_layers() is None
    assert begun.problem == "The library for gs:// is not installed."
    assert begun.url == ""
    begun.close()


def test_an_invalid_url_is_raised(tmp_path: Path) -> None:
    def opening() -> StoreBackend:
        raise UsageError("A store cannot be at an ftp:// address.")

    begun = session(opening)
    begun.begin(ALL, TAG, tmp_path)
    with pytest.raises(UsageError):
        begun.stored_layers()
    begun.close()


def test_closing_during_a_download_leaves_nothing(tmp_path: Path) -> None:
    remote = MemoryStore(delay=0.01)
    put_manifest(
        remote,
        ALL.pins_digest,
        *[make_package_layer(name, "1.0", wheel, parts=50) for name, wheel in WHEELS.items()],
    )
    begun = session(remote)
    begun.begin(ALL, TAG, tmp_path)
    begun.stored_layers()
    begun.close()
    assert list(tmp_path.iterdir()) == []
    time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_restore_are_removed(tmp_path: Path) -> None:
    (tmp_path / f"{STAGING}dead" / "3").mkdir(parents=True)
    (tmp_path / "environment").mkdir()
    remote = MemoryStore()
    put_manifest(remote, ALL.pins_digest, *LAYERS.values())
    begun = session(remote)
    begun.begin(ALL, TAG, tmp_path)
    begun.stored_layers()
    assert not (tmp_path / f"{STAGING}dead").exists()
    begun.close()
    assert [path.name for path in tmp_path.iterdir()] == ["environment"]


def test_use_is_recorded_at_most_once_a_day(tmp_path: Path) -> None:
    remote = MemoryStore()
    put_manifest(remote, ALL.pins_digest, *LAYERS.values())
    mark = manifest_name(ALL.pins_digest, TAG).replace("manifests/", "used/").removesuffix(".json")
    day = 24 * 3600
    for now, written in ((10.0 * day, True), (10.5 * day, False), (11.5 * day, True)):
        before = remote.objects.get(mark)
        begun = session(remote)
        begun.begin(ALL, TAG, tmp_path, fetch=False)
        begun.stored_layers()
        begun.record_use(now)
        deadline = time.monotonic() + (30 if written else 0.3)
        while remote.objects.get(mark) == before and time.monotonic() < deadline:
            time.sleep(0.005)
        assert (remote.objects.get(mark) != before) is written
        if written:
            remote.modified[mark] = now
        begun.close()


def interpreter(version: str) -> tuple[Layer, bytes]:
    return make_layer(
        "python",
        f"cpython-{version}-linux-x86_64-gnu",
        "",
        [make_chunk({"bin/python3.11": b"#!/bin/sh\n"})],
        1,
    )


def with_python(remote: MemoryStore, version: str) -> None:
    layer, data = interpreter(version)
    remote.objects[layer.object_name(TAG)] = data
    manifest = Manifest("0" * 64, TAG, "demo", "cpu", version, 1, (), layer)
    remote.objects[python_manifest_name(TAG)] = dump_manifest(manifest)


def test_restore_python(tmp_path: Path) -> None:
    remote = MemoryStore()
    with_python(remote, "3.11.9")
    begun = session(remote)
    assert begun.restore_python("3.11.8", TAG, tmp_path) is None
    root = begun.restore_python("3.11", TAG, tmp_path)
    assert root == tmp_path / "cpython-3.11.9-linux-x86_64-gnu"
    assert (root / "bin" / "python3.11").read_text() == "#!/bin/sh\n"
    # One that is there was passed over for a reason.
    assert begun.restore_python("3.11", TAG, tmp_path) is None
    begun.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".restoring.lock", root.name]


def test_the_python_of_the_locks_manifest_comes_first(tmp_path: Path) -> None:
    remote = MemoryStore()
    with_python(remote, "3.11.9")
    layer, data = interpreter("3.11.5")
    remote.objects[layer.object_name(TAG)] = data
    put_manifest(remote, ALL.pins_digest, *LAYERS.values(), interpreter=layer)
    begun = session(remote)
    begun.begin(ALL, TAG, tmp_path / "envs")
    root = begun.restore_python("3.11", TAG, tmp_path / "pythons")
    assert root is not None
    assert root.name == "cpython-3.11.5-linux-x86_64-gnu"
    wait(begun)
    assert all(download.complete for download in begun.downloads().values())
    begun.close()


@pytest.mark.parametrize("kind", ["flipped", "absent", "no python named", "another tag's"])
def test_a_missing_or_damaged_python_is_not_restored(tmp_path: Path, kind: str) -> None:
    remote = MemoryStore()
    with_python(remote, "3.11.9")
    (name,) = (name for name in remote.objects if name.startswith("layers/"))
    if kind == "flipped":
        remote.objects[name] = bytes([remote.objects[name][0] ^ 1]) + remote.objects[name][1:]
    elif kind == "absent":
        del remote.objects[name]
    elif kind == "no python named":
        del remote.objects[python_manifest_name(TAG)]
    else:
        tag = "cp310-linux_x86_64"
        remote.objects[python_manifest_name(TAG)] = dump_manifest(
            Manifest("0" * 64, tag, "d", "cpu", "3.10.1", 1, ())
        )
    begun = session(remote)
    assert begun.restore_python("3.11", TAG, tmp_path) is None
    begun.close()
    assert [path.name for path in tmp_path.iterdir() if path.name != ".restoring.lock"] == []
