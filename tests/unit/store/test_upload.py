"""A push sends what is new, writes its manifest last, and leaves nothing wrong behind wherever it ends."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from colabenv.errors import DiskError, ModifiedPackageError, StoreError
from colabenv.lock.lockfile import Lock, Pin
from colabenv.store.backends.base import StoredObject
from colabenv.store.inventory import LAYERS, MANIFESTS, PUSHING
from colabenv.store.manifest import manifest_name, parse, pythons_name
from colabenv.store.upload import push
from colabenv.system.progress import Silent
from support.keeping import (
    SITE,
    Aging,
    Before,
    Killed,
    assert_sound,
    manifests,
    objects,
    pushed,
    subject,
    wheel_of,
)
from support.layers import TAG, Memory

PYTHON = "cpython-3.11.9-linux-x86_64-gnu"


def test_all_of_an_environment_is_kept(tmp_path: Path) -> None:
    remote, what = Memory(), subject(tmp_path, "six", "attrs", python=PYTHON)
    done = pushed(remote, what)
    (manifest,) = manifests(remote)
    assert manifest == done.manifest
    assert [(one.name, one.version, one.wheel) for one in manifest.layers] == [
        ("attrs", "1.0", wheel_of("attrs")),
        ("six", "1.0", wheel_of("six")),
    ]
    assert (manifest.lock, manifest.tag, manifest.profile) == (what.lock.pins_digest, TAG, "demo")
    assert manifest.interpreter is not None
    assert manifest.interpreter.version == PYTHON
    assert set(manifest.objects()) == objects(remote)
    assert len(done.sent) == 3
    assert parse(remote.read(pythons_name(TAG)), "").interpreter == manifest.interpreter
    assert remote.entries(PUSHING) == []
    assert_sound(remote)


def test_what_is_there_is_not_sent_again(tmp_path: Path) -> None:
    remote = Memory()
    first = pushed(remote, subject(tmp_path, "six", "attrs", python=PYTHON))
    before = dict(remote.objects)
    again = pushed(remote, subject(tmp_path, "six", "attrs", python=PYTHON))
    assert (again.sent, again.manifest) == ((), first.manifest)
    new = set(remote.objects) - set(before)
    assert {name: remote.objects[name] for name in before} == before
    assert [name.split("/")[0] for name in new] == ["used"]


def test_profiles_share_their_layers(tmp_path: Path) -> None:
    remote = Memory()
    pushed(remote, subject(tmp_path, "six", "attrs", python=PYTHON))
    done = pushed(remote, subject(tmp_path, "six", "idna", python=PYTHON, profile="other"))
    assert [layer.name for layer in done.sent] == ["idna"]
    assert len(manifests(remote)) == 2
    assert len(objects(remote)) == 4


def test_only_objects_that_a_manifest_names_count(tmp_path: Path) -> None:
    remote, what = Memory(), subject(tmp_path, "six")
    done = pushed(remote, what)
    remote.delete(manifest_name(what.lock.pins_digest, TAG))
    (layer,) = done.manifest.layers
    remote.objects[layer.object_name(TAG)] = b"half"
    again = pushed(remote, what)
    assert [one.name for one in again.sent] == ["six"]
    assert_sound(remote)


def test_an_object_of_another_size_or_none_is_sent_again(tmp_path: Path) -> None:
    remote, what = Memory(), subject(tmp_path, "six", "attrs", "idna")
    first, second, _ = pushed(remote, what).manifest.objects()
    remote.objects[first] = remote.objects[first][:-1]
    del remote.objects[second]
    assert len(pushed(remote, what).sent) == 2
    assert_sound(remote)


class Strict(Memory):
    """Sees that a manifest which is written names nothing that is not there."""

    def write(self, name: str, data: bytes) -> None:
        if name.startswith(MANIFESTS):
            missing = set(parse(data, name).objects()) - set(self.objects)
            assert missing == set()
        super().write(name, data)


def test_no_manifest_is_written_that_names_what_is_gone(tmp_path: Path) -> None:
    remote = Strict()
    attrs, _ = pushed(remote, subject(tmp_path, "six", "attrs")).manifest.objects()
    del remote.objects[attrs]
    done = pushed(remote, subject(tmp_path, "attrs", "idna", profile="other"))
    assert len(done.sent) == 2
    assert_sound(remote)


def test_all_is_sent_anew_where_that_is_asked_for(tmp_path: Path) -> None:
    remote, what = Memory(), subject(tmp_path, "six", "attrs", python=PYTHON)
    first, *_ = pushed(remote, what).manifest.objects()
    remote.objects[first] = b"x" * len(remote.objects[first])
    assert pushed(remote, what).sent == ()
    assert len(pushed(remote, dataclasses.replace(what, anew=True)).sent) == 3
    assert_sound(remote)


def test_wherever_it_is_killed_nothing_wrong_is_trusted(tmp_path: Path) -> None:
    what = subject(tmp_path, "six", "attrs", "idna", python=PYTHON)
    whole = Before(Memory())
    pushed(whole, what)
    assert len(whole.calls) > 12
    for number in range(len(whole.calls)):
        remote = Memory()
        with pytest.raises(Killed):
            pushed(Before(remote, number), what)
        assert_sound(remote)
        found = [set(one.objects()) for one in manifests(remote)]
        assert found in ([], [objects(remote)])
        done = pushed(remote, what)
        assert len(done.manifest.layers) == 3
        assert_sound(remote)


def test_ctrl_c_takes_the_intent_away(tmp_path: Path) -> None:
    class Interrupting:
        def stage(self, title: str) -> None:
            pass

        def update(self, text: str) -> None:
            del text
            raise KeyboardInterrupt

        def note(self, text: str) -> None:
            pass

    remote, what = Memory(), subject(tmp_path, "six", "attrs")
    with pytest.raises(KeyboardInterrupt):
        push(remote, what, Interrupting(), scratch=tmp_path)
    assert [name for name in remote.objects if not name.startswith(LAYERS)] == []
    assert len(pushed(remote, what).manifest.layers) == 2


def test_what_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    remote, what = Memory(), subject(tmp_path, "six", "attrs")
    (what.prefix / SITE / "six.py").write_text("x" * 2000)
    with pytest.raises(ModifiedPackageError, match=r"six 1.0 cannot be kept: .*six.py was changed") as caught:
        pushed(remote, what)
    assert "anew" in caught.value.hint
    assert manifests(remote) == []
    assert remote.entries(PUSHING) == []


def test_what_cannot_be_kept_is_left_out_and_said(tmp_path: Path) -> None:
    remote, what = Memory(), subject(tmp_path, "six", "attrs")
    (what.prefix / SITE / "six-1.0.dist-info" / "RECORD").write_text("../../../pyvenv.cfg,,\n")
    done = pushed(remote, what)
    assert [layer.name for layer in done.manifest.layers] == ["attrs"]
    assert "pyvenv.cfg" in done.refused["six"]


def test_pins_without_a_known_wheel_keep_the_layer_that_another_machine_sent(tmp_path: Path) -> None:
    remote, what = Memory(), subject(tmp_path, "six", "attrs", python=PYTHON)
    rich = pushed(remote, what).manifest
    poor = dataclasses.replace(what, wheels={"six": wheel_of("six")}, interpreter=None)
    assert pushed(remote, poor).manifest == rich
    assert manifests(remote) == [rich]


def test_a_richer_push_completes_a_poorer_one(tmp_path: Path) -> None:
    remote, what = Memory(), subject(tmp_path, "six", "attrs")
    pushed(remote, dataclasses.replace(what, wheels={"six": wheel_of("six")}))
    assert [layer.name for layer in pushed(remote, what).sent] == ["attrs"]
    (manifest,) = manifests(remote)
    assert len(manifest.layers) == 2


def test_a_manifest_written_meanwhile_is_not_made_poorer(tmp_path: Path) -> None:
    what = subject(tmp_path, "six", "attrs")
    poor = dataclasses.replace(what, wheels={"six": wheel_of("six")})
    count = Before(Memory())
    pushed(count, poor)
    for number in range(1, len(count.calls)):
        remote = Memory()
        pushed(Before(remote, number, lambda remote=remote: _ignore(pushed(remote, what))), poor)  # type: ignore[misc]
        (manifest,) = manifests(remote)
        assert_sound(remote)
        # Between the last look at the manifest and its writing nobody can know; up then installs one more.
        assert len(manifest.layers) == 2 or number == count.calls.index("upload") + 2


def _ignore(_: object) -> None:
    pass


def test_a_layer_that_somebody_removes_meanwhile_is_sent_again(tmp_path: Path) -> None:
    what = subject(tmp_path, "six", "attrs")
    remote = Taking()
    done = pushed(remote, what)
    assert remote.taken
    assert len(done.manifest.layers) == 2
    assert_sound(remote)


class Taking(Aging):
    """A store where the first layer goes as soon as a manifest is written, once."""

    taken = ""

    def write(self, name: str, data: bytes) -> None:
        super().write(name, data)
        if name.startswith(MANIFESTS) and not self.taken:
            self.taken = self.entries(LAYERS)[0].name
            del self.objects[self.taken]


def test_who_loses_all_that_was_sent_is_told(tmp_path: Path) -> None:
    class Losing(Memory):
        def upload(self, name: str, path: Path) -> None:
            del name, path

    with pytest.raises(StoreError, match="is not there"):
        pushed(Losing(), subject(tmp_path, "six", "attrs"))


def test_listings_may_be_old(tmp_path: Path) -> None:
    class Stale(Aging):
        def entries(self, prefix: str = "") -> list[StoredObject]:
            del prefix
            return []

    remote, what = Stale(), subject(tmp_path, "six", "attrs")
    pushed(remote, what)
    assert pushed(remote, what).sent == ()


def test_a_newer_python_stays_named(tmp_path: Path) -> None:
    remote = Memory()
    pushed(remote, subject(tmp_path, "six", python="cpython-3.11.10-linux-x86_64-gnu"))
    pushed(remote, subject(tmp_path, "six", "idna", python=PYTHON, profile="older"))
    named = parse(remote.read(pythons_name(TAG)), "").interpreter
    assert named is not None
    assert "3.11.10" in named.version
    assert {one.interpreter.version for one in manifests(remote) if one.interpreter} == {
        PYTHON,
        "cpython-3.11.10-linux-x86_64-gnu",
    }


def test_a_damaged_manifest_is_written_anew(tmp_path: Path) -> None:
    remote, what = Memory(), subject(tmp_path, "six")
    pushed(remote, what)
    remote.objects[manifest_name(what.lock.pins_digest, TAG)] = b'{"digest":'
    pushed(remote, what)
    assert len(manifests(remote)) == 1


def test_a_store_that_cannot_be_written_to_is_one_error(tmp_path: Path) -> None:
    class Full(Memory):
        def write(self, name: str, data: bytes) -> None:
            raise StoreError(f"{name} ({len(data)} bytes) was refused: no space.", hint="Make room.")

    what = subject(tmp_path, "six")
    with pytest.raises(StoreError, match="memory cannot be written to") as caught:
        pushed(Full(), what)
    assert caught.value.hint == "Make room."
    assert "no space" in caught.value.detail
    read_only = Memory(writable=False)
    with pytest.raises(StoreError, match="memory cannot be written to"):
        pushed(read_only, what)
    assert read_only.reads == []


def test_parcels_of_killed_pushes_go_after_a_day(tmp_path: Path) -> None:
    scratch = tmp_path / "parcels"
    for name in ("old", "new"):
        (scratch / name).mkdir(parents=True)
        (scratch / name / "x.layer").write_bytes(b"x")
    os.utime(scratch / "old", (0, 0))
    pushed(Memory(), subject(tmp_path, "six"))
    assert [path.name for path in scratch.iterdir()] == ["new"]
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="could not be written"):
        push(Memory(), subject(tmp_path, "six"), Silent(), scratch=tmp_path / "file")


def test_an_upload_that_fails_ends_the_push_and_leaves_no_parcels(tmp_path: Path) -> None:
    class Half(Memory):
        def upload(self, name: str, path: Path) -> None:
            if wheel_of("idna") in name:
                raise StoreError("The store is gone.")
            super().upload(name, path)

    remote = Half()
    with pytest.raises(StoreError, match="is gone"):
        pushed(remote, subject(tmp_path, "six", "attrs", "idna"))
    assert manifests(remote) == []
    assert remote.entries(PUSHING) == []


def test_the_intent_names_what_is_relied_on_and_no_more(tmp_path: Path) -> None:
    class Watching(Memory):
        def __init__(self) -> None:
            super().__init__()
            self.intents: list[bytes] = []

        def write(self, name: str, data: bytes) -> None:
            if name.startswith(PUSHING):
                assert not self.objects
                self.intents.append(data)
            super().write(name, data)

    remote = Watching()
    pushed(remote, subject(tmp_path, "six", "attrs", python=PYTHON))
    (intent,) = remote.intents
    wheels = sorted([wheel_of("six"), wheel_of("attrs")])
    assert json.loads(intent) == {"tag": TAG, "wheels": wheels, "python": PYTHON}


def test_a_layer_of_another_wheel_of_the_pin_is_not_taken_for_ours(tmp_path: Path) -> None:
    """Two wheels of a release are two layers, also where the lock admits both."""
    remote, what = Memory(), subject(tmp_path, "six")
    pin = Pin("six", "1.0", tuple(sorted((f"sha256:{wheel_of('six')}", f"sha256:{wheel_of('other')}"))))
    both = dataclasses.replace(what, lock=Lock(what.lock.header, (pin,)))
    pushed(remote, what)
    other = dataclasses.replace(both, wheels={"six": wheel_of("other")})
    assert [layer.wheel for layer in pushed(remote, other).sent] == [wheel_of("other")]
