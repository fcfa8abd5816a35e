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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from colabenv.errors import DiskError, StoreError
from colabenv.lock.lockfile import Lock
from colabenv.store.backends.base import StoreBackend
from colabenv.store.gc import usage_name
from colabenv.store.inventory import (
    FRESH_SECONDS,
    PUSHING,
    REMOVING,
    existing_objects,
    find_known_layers,
    read_manifest,
)
from colabenv.store.manifest import (
    Layer,
    Manifest,
    dump_manifest,
    manifest_name,
    python_manifest_name,
    select_layers,
)
from colabenv.store.pack import PackedLayer, pack_distribution, pack_python
from colabenv.store.upload_pool import UploadPool
from colabenv.system.files import disk_error, remove_tree
from colabenv.system.progress import Progress

#: How often what vanished meanwhile is sent again.
_ROUNDS = 3
#: Stands for the managed Python among the names of distributions, which never hold a blank.
_PYTHON = "the Python"


@dataclass(frozen=True)
class UploadRequest:
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
        anew: send also what the store has already.
    """

    prefix: Path
    lock: Lock
    tag: str
    profile: str
    python: str
    wheels: Mapping[str, str]
    sizes: Mapping[str, int]
    interpreter: Path | None = None
    anew: bool = False


@dataclass(frozen=True)
class UploadReport:
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


def upload_layers(
    remote: StoreBackend,
    subject: UploadRequest,
    progress: Progress,
    *,
    scratch: Path,
    pause: Callable[[float], None] = time.sleep,
) -> UploadReport:
    """Keep an environment.

    Args:
        remote: the store.
        subject: what to keep.
        progress: is told how far it is.
        scratch: folder for parcels; made where it is missing. What killed pushes have left there goes after a day.
        pause: waits so many seconds.

    Raises:
        ChangedError: a distribution is not what was installed; no manifest was written.
        StoreError: the store cannot be written to, or stopped answering.
        DiskError: there is no room to pack.
    """
    require_writable(remote)
    _sweep(scratch)
    with (
        _intent(remote, subject),
        tempfile.TemporaryDirectory(dir=scratch, ignore_cleanup_errors=True) as folder,
    ):
        return _Push(remote, subject, progress, Path(folder), pause).run()


def require_writable(remote: StoreBackend) -> None:
    """Say so where a store cannot be written to.

    Raises:
        StoreError: it cannot.
    """
    if not remote.writable:
        raise StoreError(f"The store {remote.url} cannot be written to.", hint=_READ_ONLY)


def _sweep(scratch: Path) -> None:
    """Make the folder for parcels, and remove what is older than a day in it."""
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        old = [path for path in scratch.iterdir() if path.stat().st_mtime < time.time() - 86_400]
    except OSError as error:
        raise disk_error(error, scratch) from error
    for path in old:
        with contextlib.suppress(DiskError):
            remove_tree(path)


@contextlib.contextmanager
def _intent(remote: StoreBackend, subject: UploadRequest) -> Iterator[None]:
    """Say in the store what is relied on, so that nobody removes it meanwhile."""
    name = f"{PUSHING}{secrets.token_hex(16)}.json"
    python = subject.interpreter.name if subject.interpreter else ""
    body = {"tag": subject.tag, "wheels": sorted(subject.wheels.values()), "python": python}
    try:
        remote.write(name, json.dumps(body).encode())
    except StoreError as error:
        raise StoreError(
            f"The store {remote.url} cannot be written to.",
            hint=error.hint or _READ_ONLY,
            detail=error.message,
        ) from error
    try:
        yield
    finally:
        # Of one that stays nothing depends; gc takes it after a day.
        with contextlib.suppress(StoreError):
            remote.delete(name)


@dataclass
class _Push:
    """One push; `layers` fills up with what the store has, by distribution."""

    remote: StoreBackend
    subject: UploadRequest
    progress: Progress
    folder: Path
    pause: Callable[[float], None]
    layers: dict[str, Layer] = field(default_factory=dict)
    sent: dict[str, Layer] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self) -> UploadReport:
        """The steps, one after another."""
        with self._timed("ask"):
            self.progress.stage("Asking the store")
            self._find()
        for _ in range(_ROUNDS):
            with self._timed("pack and send"):
                self._send()
            with self._timed("finish"):
                manifest = self._publish()
                if self._whole():
                    return UploadReport(manifest, tuple(self.sent.values()), self.refused, self.seconds)
        raise StoreError(
            f"What was sent to {self.remote.url} is not there.",
            hint="Somebody else may be removing it: run colabenv store push again once they are done.",
        )

    @property
    def _name(self) -> str:
        """Of the manifest's object."""
        return manifest_name(self.subject.lock.pins_digest, self.subject.tag)

    def _find(self) -> None:
        """Take over what the store has already."""
        subject = self.subject
        if subject.anew:
            return
        names = {digest: name for name, digest in subject.wheels.items()}
        known = find_known_layers(self.remote, subject.tag, subject.lock.pins_digest, names)
        self.layers = {layer.name: layer for layer in known.values()}
        self._adopt(read_manifest(self.remote, self._name))
        self._adopt(read_manifest(self.remote, python_manifest_name(subject.tag)))
        self._forget_what_is_gone()

    def _adopt(self, manifest: Manifest | None) -> None:
        """Have what another push of the same lock has kept, also what this machine cannot tell."""
        if manifest is None:
            return
        for name, layer in select_layers([manifest], self.subject.lock, self.subject.tag).items():
            self.layers.setdefault(name, layer)
        python, ours = manifest.interpreter, self.subject.interpreter
        if python is not None and ours is not None and python.version == ours.name:
            self.layers.setdefault(_PYTHON, python)

    def _forget_what_is_gone(self) -> bool:
        """Leave out layers that the store does not really have; whether there were any."""
        real = existing_objects(self.remote, self.subject.tag, self.layers.values())
        gone = [name for name, one in self.layers.items() if one.object_name(self.subject.tag) not in real]
        for name in gone:
            del self.layers[name]
        return bool(gone)

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
        line = UploadPool(self.remote, self.subject.tag, self.folder, self._packed)
        for done in line.run([(name, self.subject.sizes.get(name, 200 << 20)) for name in missing]):
            if done.layer is None:
                self.refused[done.name] = done.refusal
            else:
                self.layers[done.name] = self.sent[done.name] = done.layer
            size = sum(layer.bytes for layer in self.sent.values())
            self.progress.update(f"{len(self.sent)} of {len(missing)} packages, {size / 1e6:.0f} MB sent")

    def _packed(self, name: str) -> PackedLayer:
        subject = self.subject
        if name == _PYTHON and subject.interpreter is not None:
            return pack_python(subject.interpreter, self.folder)
        version = subject.lock.version_of(name) or ""
        return pack_distribution(subject.prefix, name, version, subject.wheels[name], self.folder)

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

    def _publish(self) -> Manifest:
        """Write the manifest, unless the store has just this one."""
        older = read_manifest(self.remote, self._name)
        self._adopt(older)
        manifest = self._manifest(older)
        if manifest == older:
            with contextlib.suppress(StoreError):  # a note, no more
                self.remote.write(usage_name(self._name), time.strftime("%Y-%m-%d", time.gmtime()).encode())
        else:
            self.remote.write(self._name, dump_manifest(manifest))
        self._name_python(manifest)
        return manifest

    def _name_python(self, manifest: Manifest) -> None:
        """Have the tag's newest managed Python named, unless a newer one is."""
        ours = self.layers.get(_PYTHON)
        if ours is None:
            return
        name = python_manifest_name(manifest.tag)
        named = read_manifest(self.remote, name)
        theirs = named.interpreter if named else None
        if theirs is None or (theirs != ours and _release(theirs.version) <= _release(ours.version)):
            self.remote.write(name, dump_manifest(dataclasses.replace(manifest, layers=())))

    def _whole(self) -> bool:
        """Whether the manifest and all that it names is there still; what is not is packed again."""
        self._let_others_finish()
        lost = self._forget_what_is_gone()
        return not lost and read_manifest(self.remote, self._name) is not None

    def _let_others_finish(self) -> None:
        """Wait where somebody removes things who may not have seen the manifest yet; see `keep`."""
        waited = 0.0
        while waited < 2 * FRESH_SECONDS and any(
            one.name.startswith(REMOVING) for one in self.remote.entries(PUSHING)
        ):
            self.progress.update("somebody cleans up the store; waiting for them")
            self.pause(0.5)
            waited += 0.5

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
