"""Keeping an environment in a store: what is new is packed and sent, and the manifest comes last.

A push that ends early leaves objects that no manifest names, which nothing trusts and `store gc` removes. What two
machines push at once has the same names where it is the same, and other names where it is not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from colabenv.errors import StoreError
from colabenv.lock.model import Lock
from colabenv.store.contents import PUSHING, known_layers, read_manifest, there
from colabenv.store.line import Line
from colabenv.store.model import Layer, Manifest, dump, manifest_name, pythons_name, usable
from colabenv.store.pack import Parcel, pack, pack_python
from colabenv.store.remote import Remote
from colabenv.system.progress import Progress

#: How often what vanished meanwhile is sent again.
_ROUNDS = 3
#: Stands for the managed Python among the names of distributions, which never hold a blank.
_PYTHON = "the Python"


@dataclass(frozen=True)
class Subject:
    """What is to be kept.

    Attributes:
        prefix: folder of the environment.
        lock: what was installed.
        tag: of Python and platform.
        profile: name of the profile.
        python: full version of the environment's Python.
        wheels: sha256 of the wheel by distribution; what is missing here is not kept.
        sizes: bytes on disk by distribution, for the order.
        interpreter: folder of the managed Python, or None where it is another.
    """

    prefix: Path
    lock: Lock
    tag: str
    profile: str
    python: str
    wheels: Mapping[str, str]
    sizes: Mapping[str, int]
    interpreter: Path | None = None


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes:
        manifest: as it is in the store now.
        sent: layers that were new to the store.
        refused: why distributions could not be kept, by name.
        seconds: by step.
    """

    manifest: Manifest
    sent: tuple[Layer, ...]
    refused: Mapping[str, str]
    seconds: Mapping[str, float]


def push(remote: Remote, subject: Subject, progress: Progress) -> Pushed:
    """Keep an environment.

    Raises:
        ChangedError: a distribution is not what was installed; no manifest was written.
        StoreError: the store cannot be written to, or stopped answering.
        DiskError: there is no room to pack.
    """
    if not remote.writable:
        raise StoreError(f"The store {remote.url} cannot be written to.", hint=_READ_ONLY)
    with (
        _intent(remote, subject),
        tempfile.TemporaryDirectory(prefix="colabenv-push-", ignore_cleanup_errors=True) as folder,
    ):
        return _Push(remote, subject, progress, Path(folder)).run()


@contextlib.contextmanager
def _intent(remote: Remote, subject: Subject) -> Iterator[None]:
    """Say in the store what is relied on, so that nobody removes it meanwhile."""
    name = f"{PUSHING}{secrets.token_hex(16)}.json"
    python = subject.interpreter.name if subject.interpreter else ""
    body = {"tag": subject.tag, "wheels": sorted(subject.wheels.values()), "python": python}
    remote.write(name, json.dumps(body).encode())
    try:
        yield
    finally:
        # Of one that stays nothing depends; gc takes it after a day.
        with contextlib.suppress(StoreError):
            remote.delete(name)


@dataclass
class _Push:
    """One push; `layers` fills up with what the store has, by distribution."""

    remote: Remote
    subject: Subject
    progress: Progress
    folder: Path
    layers: dict[str, Layer] = field(default_factory=dict)
    sent: dict[str, Layer] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self) -> Pushed:
        """The steps, one after another."""
        subject = self.subject
        with self._timed("ask"):
            self.progress.stage("Asking the store")
            older = read_manifest(self.remote, manifest_name(subject.lock.pins_digest, subject.tag))
            python = read_manifest(self.remote, pythons_name(subject.tag))
            self._find(older, python)
        for _ in range(_ROUNDS):
            with self._timed("pack and send"):
                self._send()
            with self._timed("finish"):
                manifest = self._manifest(older)
                if manifest != older:
                    self.remote.write(manifest_name(manifest.lock, manifest.tag), dump(manifest))
                    older = manifest
                self._name_python(manifest, python)
                if self._whole():
                    return Pushed(manifest, tuple(self.sent.values()), self.refused, self.seconds)
        raise StoreError(
            f"What was sent to {self.remote.url} is not there.",
            hint="Somebody else may be removing it: run colabenv store push again once they are done.",
        )

    def _find(self, older: Manifest | None, python: Manifest | None) -> None:
        """Take over what the store has already."""
        subject = self.subject
        names = {digest: name for name, digest in subject.wheels.items()}
        known = known_layers(self.remote, subject.tag, subject.lock.pins_digest, names)
        found = {layer.name: layer for layer in known.values()}
        if older is not None:
            # What this machine cannot tell, another one could: its layers stay.
            for name, layer in usable([older], subject.lock, subject.tag).items():
                found.setdefault(name, layer)
        for manifest in (python, older):
            held = manifest.interpreter if manifest else None
            if subject.interpreter is not None and held and held.version == subject.interpreter.name:
                found[_PYTHON] = held
        real = there(self.remote, subject.tag, found.values())
        self.layers = {name: layer for name, layer in found.items() if layer.object_name(subject.tag) in real}

    def _missing(self) -> list[str]:
        """What is not in the store yet, the largest first, so that the last one is soon done."""
        wanted = [*self.subject.wheels, *([_PYTHON] if self.subject.interpreter else [])]
        sizes = {_PYTHON: 1 << 40, **self.subject.sizes}
        missing = [name for name in wanted if name not in self.layers and name not in self.refused]
        return sorted(missing, key=lambda name: -sizes.get(name, 0))

    def _send(self) -> None:
        missing = self._missing()
        if not missing:
            return
        self.progress.stage("Packing and uploading")
        line = Line(self.remote, self.subject.tag, self.folder, self._packed)
        for done in line.run([(name, self.subject.sizes.get(name, 200 << 20)) for name in missing]):
            if done.layer is None:
                self.refused[done.name] = done.refusal
            else:
                self.layers[done.name] = self.sent[done.name] = done.layer
            size = sum(layer.bytes for layer in self.sent.values())
            self.progress.update(f"{len(self.sent)} of {len(missing)} packages, {size / 1e6:.0f} MB sent")

    def _packed(self, name: str) -> Parcel:
        subject = self.subject
        if name == _PYTHON and subject.interpreter is not None:
            return pack_python(subject.interpreter, self.folder)
        version = subject.lock.version_of(name) or ""
        return pack(subject.prefix, name, version, subject.wheels[name], self.folder)

    def _manifest(self, older: Manifest | None) -> Manifest:
        """What the store has for the lock now; the older one itself where nothing has changed."""
        subject = self.subject
        layers = [layer for name, layer in self.layers.items() if name != _PYTHON]
        made = Manifest(
            lock=subject.lock.pins_digest,
            tag=subject.tag,
            profile=subject.profile,
            variant=subject.lock.header.variant,
            python=subject.python,
            made=int(time.time()),
            layers=tuple(sorted(layers, key=lambda layer: layer.name)),
            interpreter=self.layers.get(_PYTHON),
        )
        if older is None:
            return made
        if made.interpreter is None:
            # This machine has a Python of its own; one without any still needs the managed one.
            made = dataclasses.replace(made, interpreter=older.interpreter, python=older.python)
        same = (made.layers, made.interpreter) == (older.layers, older.interpreter)
        return older if same else made

    def _name_python(self, manifest: Manifest, python: Manifest | None) -> None:
        """Have the tag's newest managed Python named, unless a newer one is."""
        ours = self.layers.get(_PYTHON)
        theirs = python.interpreter if python else None
        if ours is None or ours == theirs:
            return
        if theirs is not None and _release(theirs.version) > _release(ours.version):
            return
        self.remote.write(pythons_name(manifest.tag), dump(dataclasses.replace(manifest, layers=())))

    def _whole(self) -> bool:
        """Whether all that the manifest names is there; what is not is packed again."""
        real = there(self.remote, self.subject.tag, self.layers.values())
        lost = [name for name, one in self.layers.items() if one.object_name(self.subject.tag) not in real]
        for name in lost:
            del self.layers[name]
        return not lost

    @contextlib.contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + time.monotonic() - started


def _release(folder: str) -> tuple[int, ...]:
    """The version in the name of a managed Python's folder, such as cpython-3.11.9-linux-x86_64-gnu."""
    found = re.search(r"\d+(?:\.\d+)+", folder)
    return tuple(map(int, found[0].split("."))) if found else ()


_READ_ONLY = (
    "A store on the web is read only, and a folder may belong to somebody else. Name one that you may write to: a "
    "folder, gs://bucket/folder or s3://bucket/folder."
)
