"""Pushing layers to a store: only new ones, the manifest last, and a consistent store if interrupted."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from pathlib import Path

import pytest

from colabenv.errors import DiskError, ModifiedPackageError, StoreError
from colabenv.lock.lockfile import Lock, Pin
from colabenv.store.backends.base import StoredObject
from colabenv.store.inventory import LAYERS, MANIFESTS, PUSHING
from colabenv.store.manifest import manifest_name, parse_manifest, python_manifest_name
from colabenv.store.upload import upload_layers
from colabenv.system.progress import SilentProgress
from support.memory_store import TAG, MemoryStore
from support.pushing import (
    SITE,
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


def test_push_uploads_layers_python_and_manifest(tmp_path: Path) -> None:
    store, request = MemoryStore(), make_request(tmp_path, "six", "attrs", python=PYTHON)
    done = push_quietly(store, request)
    (manifest,) = read_manifests(store)
    assert manifest == done.manifest
    assert [(layer.name, layer.version, layer.wheel) for layer in manifest.layers] == [
        ("attrs", "1.0", fake_wheel_hash("attrs")),
        ("six", "1.0", fake_wheel_hash("six")),
    ]
    assert (manifest.lock, manifest.tag, manifest.profile) == (request.lock.pins_digest, TAG, "demo")
    assert manifest.interpreter is not None
    assert manifest.interpreter.version == PYTHON
    assert set(manifest.objects()) == layer_names(store)
    assert len(done.sent) == 3
    assert parse_manifest(store.read(python_manifest_name(TAG)), "").interpreter == manifest.interpreter
    assert store.entries(PUSHING) == []
    assert_consistent(store)


def test_second_push_sends_nothing(tmp_path: Path) -> None:
    store = MemoryStore()
    first = push_quietly(store, make_request(tmp_path, "six", "attrs", python=PYTHON))
    before = dict(store.objects)
    again = push_quietly(store, make_request(tmp_path, "six", "attrs", python=PYTHON))
    assert (again.sent, again.manifest) == ((), first.manifest)
    new = set(store.objects) - set(before)
    assert {name: store.objects[name] for name in before} == before
    assert [name.split("/")[0] for name in new] == ["used"]


def test_profiles_share_layers(tmp_path: Path) -> None:
    store = MemoryStore()
    push_quietly(store, make_request(tmp_path, "six", "attrs", python=PYTHON))
    done = push_quietly(store, make_request(tmp_path, "six", "idna", python=PYTHON, profile="other"))
    assert [layer.name for layer in done.sent] == ["idna"]
    assert len(read_manifests(store)) == 2
    assert len(layer_names(store)) == 4


def test_objects_in_no_manifest_are_sent_again(tmp_path: Path) -> None:
    store, request = MemoryStore(), make_request(tmp_path, "six")
    done = push_quietly(store, request)
    store.delete(manifest_name(request.lock.pins_digest, TAG))
    (layer,) = done.manifest.layers
    store.objects[layer.object_name(TAG)] = b"half"
    again = push_quietly(store, request)
    assert [layer.name for layer in again.sent] == ["six"]
    assert_consistent(store)


def test_missing_and_truncated_objects_are_sent_again(tmp_path: Path) -> None:
    store, request = MemoryStore(), make_request(tmp_path, "six", "attrs", "idna")
    first, second, _ = push_quietly(store, request).manifest.objects()
    store.objects[first] = store.objects[first][:-1]
    del store.objects[second]
    assert len(push_quietly(store, request).sent) == 2
    assert_consistent(store)


class StrictStore(MemoryStore):
    """A store that checks that each manifest names only existing objects."""

    def write(self, name: str, data: bytes) -> None:
        if name.startswith(MANIFESTS):
            missing = set(parse_manifest(data, name).objects()) - set(self.objects)
            assert missing == set()
        super().write(name, data)


def test_manifest_names_only_existing_objects(tmp_path: Path) -> None:
    store = StrictStore()
    attrs, _ = push_quietly(store, make_request(tmp_path, "six", "attrs")).manifest.objects()
    del store.objects[attrs]
    done = push_quietly(store, make_request(tmp_path, "attrs", "idna", profile="other"))
    assert len(done.sent) == 2
    assert_consistent(store)


def test_force_sends_all_layers_again(tmp_path: Path) -> None:
    store, request = MemoryStore(), make_request(tmp_path, "six", "attrs", python=PYTHON)
    first, *_ = push_quietly(store, request).manifest.objects()
    store.objects[first] = b"x" * len(store.objects[first])
    assert push_quietly(store, request).sent == ()
    assert len(push_quietly(store, dataclasses.replace(request, force=True)).sent) == 3
    assert_consistent(store)


def test_killed_push_leaves_a_consistent_store(tmp_path: Path) -> None:
    request = make_request(tmp_path, "six", "attrs", "idna", python=PYTHON)
    uninterrupted = InterruptedStore(MemoryStore())
    push_quietly(uninterrupted, request)
    assert len(uninterrupted.calls) > 12
    for number in range(len(uninterrupted.calls)):
        store = MemoryStore()
        with pytest.raises(Killed):
            push_quietly(InterruptedStore(store, number), request)
        assert_consistent(store)
        named = [set(manifest.objects()) for manifest in read_manifests(store)]
        assert named in ([], [layer_names(store)])
        done = push_quietly(store, request)
        assert len(done.manifest.layers) == 3
        assert_consistent(store)


def test_ctrl_c_removes_the_record_of_the_push(tmp_path: Path) -> None:
    class InterruptingProgress(SilentProgress):
        def update(self, text: str) -> None:
            del text
            raise KeyboardInterrupt

    store, request = MemoryStore(), make_request(tmp_path, "six", "attrs")
    with pytest.raises(KeyboardInterrupt):
        upload_layers(store, request, InterruptingProgress(), scratch=tmp_path)
    assert [name for name in store.objects if not name.startswith(LAYERS)] == []
    assert len(push_quietly(store, request).manifest.layers) == 2


def test_modified_package_is_refused(tmp_path: Path) -> None:
    store, request = MemoryStore(), make_request(tmp_path, "six", "attrs")
    (request.prefix / SITE / "six.py").write_text("x" * 2000)
    with pytest.raises(
        ModifiedPackageError, match=r"six 1.0 cannot be pushed: .*six.py was changed"
    ) as caught:
        push_quietly(store, request)
    assert "Rebuild" in caught.value.hint
    assert read_manifests(store) == []
    assert store.entries(PUSHING) == []


def test_packages_that_cannot_be_packed_are_skipped(tmp_path: Path) -> None:
    store, request = MemoryStore(), make_request(tmp_path, "six", "attrs")
    (request.prefix / SITE / "six-1.0.dist-info" / "RECORD").write_text("../../../pyvenv.cfg,,\n")
    done = push_quietly(store, request)
    assert [layer.name for layer in done.manifest.layers] == ["attrs"]
    assert "pyvenv.cfg" in done.refused["six"]


def test_push_that_knows_fewer_wheels_keeps_the_layers_of_the_manifest(tmp_path: Path) -> None:
    store, request = MemoryStore(), make_request(tmp_path, "six", "attrs", python=PYTHON)
    complete = push_quietly(store, request).manifest
    partial = dataclasses.replace(request, wheels={"six": fake_wheel_hash("six")}, interpreter=None)
    assert push_quietly(store, partial).manifest == complete
    assert read_manifests(store) == [complete]


def test_push_adds_missing_layers_to_the_manifest(tmp_path: Path) -> None:
    store, request = MemoryStore(), make_request(tmp_path, "six", "attrs")
    push_quietly(store, dataclasses.replace(request, wheels={"six": fake_wheel_hash("six")}))
    assert [layer.name for layer in push_quietly(store, request).sent] == ["attrs"]
    (manifest,) = read_manifests(store)
    assert len(manifest.layers) == 2


def test_layers_of_a_concurrent_push_are_kept(tmp_path: Path) -> None:
    request = make_request(tmp_path, "six", "attrs")
    partial = dataclasses.replace(request, wheels={"six": fake_wheel_hash("six")})
    uninterrupted = InterruptedStore(MemoryStore())
    push_quietly(uninterrupted, partial)
    for number in range(1, len(uninterrupted.calls)):
        store = MemoryStore()
        complete_push = functools.partial(push_quietly, store, request)
        push_quietly(InterruptedStore(store, number, complete_push), partial)
        (manifest,) = read_manifests(store)
        assert_consistent(store)
        # A manifest written between the last read and the write is lost; `up` then installs one more package.
        assert len(manifest.layers) == 2 or number == uninterrupted.calls.index("upload") + 2


def test_layer_removed_during_the_push_is_sent_again(tmp_path: Path) -> None:
    request = make_request(tmp_path, "six", "attrs")
    store = ForgetfulStore()
    done = push_quietly(store, request)
    assert store.lost
    assert len(done.manifest.layers) == 2
    assert_consistent(store)


class ForgetfulStore(AgingStore):
    """A store that loses a layer when the first manifest is written."""

    lost = ""

    def write(self, name: str, data: bytes) -> None:
        super().write(name, data)
        if name.startswith(MANIFESTS) and not self.lost:
            self.lost = self.entries(LAYERS)[0].name
            del self.objects[self.lost]


def test_store_that_loses_every_upload_is_an_error(tmp_path: Path) -> None:
    class LosingStore(MemoryStore):
        def upload(self, name: str, path: Path) -> None:
            del name, path

    with pytest.raises(StoreError, match="are missing"):
        push_quietly(LosingStore(), make_request(tmp_path, "six", "attrs"))


def test_push_does_not_depend_on_the_listing(tmp_path: Path) -> None:
    class StaleStore(AgingStore):
        def entries(self, prefix: str = "") -> list[StoredObject]:
            del prefix
            return []

    store, request = StaleStore(), make_request(tmp_path, "six", "attrs")
    push_quietly(store, request)
    assert push_quietly(store, request).sent == ()


def test_newest_python_remains_in_the_python_manifest(tmp_path: Path) -> None:
    store = MemoryStore()
    push_quietly(store, make_request(tmp_path, "six", python="cpython-3.11.10-linux-x86_64-gnu"))
    push_quietly(store, make_request(tmp_path, "six", "idna", python=PYTHON, profile="older"))
    named = parse_manifest(store.read(python_manifest_name(TAG)), "").interpreter
    assert named is not None
    assert "3.11.10" in named.version
    assert {manifest.interpreter.version for manifest in read_manifests(store) if manifest.interpreter} == {
        PYTHON,
        "cpython-3.11.10-linux-x86_64-gnu",
    }


def test_damaged_manifest_is_replaced(tmp_path: Path) -> None:
    store, request = MemoryStore(), make_request(tmp_path, "six")
    push_quietly(store, request)
    store.objects[manifest_name(request.lock.pins_digest, TAG)] = b'{"digest":'
    push_quietly(store, request)
    assert len(read_manifests(store)) == 1


def test_store_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    class FullStore(MemoryStore):
        def write(self, name: str, data: bytes) -> None:
            raise StoreError(f"{name} ({len(data)} bytes) was refused: no space.", hint="Make room.")

    request = make_request(tmp_path, "six")
    with pytest.raises(StoreError, match="memory cannot be written to") as caught:
        push_quietly(FullStore(), request)
    assert caught.value.hint == "Make room."
    assert "no space" in caught.value.detail
    read_only = MemoryStore(writable=False)
    with pytest.raises(StoreError, match="memory cannot be written to"):
        push_quietly(read_only, request)
    assert read_only.reads == []


def test_packed_files_of_killed_pushes_are_removed_after_a_day(tmp_path: Path) -> None:
    scratch = tmp_path / "parcels"
    for name in ("old", "new"):
        (scratch / name).mkdir(parents=True)
        (scratch / name / "x.layer").write_bytes(b"x")
    os.utime(scratch / "old", (0, 0))
    push_quietly(MemoryStore(), make_request(tmp_path, "six"))
    assert [path.name for path in scratch.iterdir()] == ["new"]
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="could not be written"):
        upload_layers(
            MemoryStore(), make_request(tmp_path, "six"), SilentProgress(), scratch=tmp_path / "file"
        )


def test_failed_upload_ends_the_push(tmp_path: Path) -> None:
    class FailingStore(MemoryStore):
        def upload(self, name: str, path: Path) -> None:
            if fake_wheel_hash("idna") in name:
                raise StoreError("The store is gone.")
            super().upload(name, path)

    store = FailingStore()
    with pytest.raises(StoreError, match="is gone"):
        push_quietly(store, make_request(tmp_path, "six", "attrs", "idna"))
    assert read_manifests(store) == []
    assert store.entries(PUSHING) == []


def test_record_of_a_push_is_written_first_and_names_wheels_and_python(tmp_path: Path) -> None:
    class RecordingStore(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.push_records: list[bytes] = []

        def write(self, name: str, data: bytes) -> None:
            if name.startswith(PUSHING):
                assert not self.objects
                self.push_records.append(data)
            super().write(name, data)

    store = RecordingStore()
    push_quietly(store, make_request(tmp_path, "six", "attrs", python=PYTHON))
    (push_record,) = store.push_records
    wheels = sorted([fake_wheel_hash("six"), fake_wheel_hash("attrs")])
    assert json.loads(push_record) == {"tag": TAG, "wheels": wheels, "python": PYTHON}


def test_each_wheel_of_a_release_is_a_layer(tmp_path: Path) -> None:
    store, request = MemoryStore(), make_request(tmp_path, "six")
    pin = Pin(
        "six",
        "1.0",
        tuple(sorted((f"sha256:{fake_wheel_hash('six')}", f"sha256:{fake_wheel_hash('other')}"))),
    )
    both = dataclasses.replace(request, lock=Lock(request.lock.header, (pin,)))
    push_quietly(store, request)
    other = dataclasses.replace(both, wheels={"six": fake_wheel_hash("other")})
    assert [layer.wheel for layer in push_quietly(store, other).sent] == [fake_wheel_hash("other")]
