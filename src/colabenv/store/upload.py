"""Uploading an environment: new layers are packed and sent, and the manifest is written last.

No manifest names what an interrupted push has uploaded, and `store gc` removes it. If two machines push at once, equal
objects have equal names, and different ones have different names.
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
from colabenv.store.inventory import (
    FRESH_SECONDS,
    PUSHING,
    REMOVING,
    existing_objects,
    find_known_layers,
    read_manifest,
    usage_name,
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

_ROUNDS = 3  # attempts to upload, since someone may remove objects meanwhile
_PYTHON = "the Python"  # key of the managed Python among the names of distributions, which contain no space
_READ_ONLY = (
    "A web server is read-only, and a folder may belong to someone else. Use a store that you can write to: a folder, "
    "gs://bucket/folder or s3://bucket/folder."
)


@dataclass(frozen=True)
class UploadRequest:
    """What to upload: the environment in `prefix`, which was installed from `lock`."""

    prefix: Path
    lock: Lock
    tag: str
    profile: str
    python: str
    wheels: Mapping[str, str]  # sha256 of the wheel by distribution; others are left out
    sizes: Mapping[str, int]  # bytes on disk by distribution, which decide the order
    interpreter: Path | None = None  # folder of the managed Python, or None if the environment has another
    force: bool = False  # also upload what the store has


@dataclass(frozen=True)
class UploadReport:
    """The manifest that the store has now, the new layers, why others could not be packed, and seconds by step."""

    manifest: Manifest
    sent: tuple[Layer, ...]
    refused: Mapping[str, str]
    seconds: Mapping[str, float]


def upload_layers(
    backend: StoreBackend,
    request: UploadRequest,
    progress: Progress,
    *,
    scratch: Path,
    pause: Callable[[float], None] = time.sleep,
) -> UploadReport:
    """Upload the layers and the manifest of an environment.

    Layers are packed into `scratch`, where leftovers that are older than a day are removed.

    Raises:
        ModifiedPackageError: a distribution is not what was installed; no manifest was written.
        StoreError: the store cannot be written to, or became unavailable.
        DiskError: there is no space to pack.
    """
    require_writable(backend)
    _prepare_scratch(scratch)
    with (
        _declare_push(backend, request),
        tempfile.TemporaryDirectory(dir=scratch, ignore_cleanup_errors=True) as folder,
    ):
        return _Upload(backend, request, progress, Path(folder), pause).run()


def require_writable(backend: StoreBackend) -> None:
    """Raise a `StoreError` if a store is read-only."""
    if not backend.writable:
        raise StoreError(f"The store {backend.url} cannot be written to.", hint=_READ_ONLY)


def _prepare_scratch(scratch: Path) -> None:
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        old = [path for path in scratch.iterdir() if path.stat().st_mtime < time.time() - 86_400]
    except OSError as error:
        raise disk_error(error, scratch) from error
    for path in old:
        with contextlib.suppress(DiskError):
            remove_tree(path)


@contextlib.contextmanager
def _declare_push(backend: StoreBackend, request: UploadRequest) -> Iterator[None]:
    """Record in the store what this push relies on, so that `store gc` keeps it."""
    name = f"{PUSHING}{secrets.token_hex(16)}.json"
    python = request.interpreter.name if request.interpreter else ""
    body = {"tag": request.tag, "wheels": sorted(request.wheels.values()), "python": python}
    try:
        backend.write(name, json.dumps(body).encode())
    except StoreError as error:
        raise StoreError(
            f"The store {backend.url} cannot be written to.",
            hint=error.hint or _READ_ONLY,
            detail=error.message,
        ) from error
    try:
        yield
    finally:
        # Nothing depends on a leftover record, and gc removes it after a day.
        with contextlib.suppress(StoreError):
            backend.delete(name)


@dataclass
class _Upload:
    """One upload. `layers` holds what the store has, by distribution."""

    backend: StoreBackend
    request: UploadRequest
    progress: Progress
    folder: Path
    pause: Callable[[float], None]
    layers: dict[str, Layer] = field(default_factory=dict)
    sent: dict[str, Layer] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self) -> UploadReport:
        with self._timed("ask"):
            self.progress.stage("Asking the store")
            self._find_layers()
        for _ in range(_ROUNDS):
            with self._timed("pack and send"):
                self._send_missing()
            with self._timed("finish"):
                manifest = self._write_manifest()
                if self._is_complete():
                    return UploadReport(manifest, tuple(self.sent.values()), self.refused, self.seconds)
        raise StoreError(
            f"Objects that were uploaded to {self.backend.url} are missing.",
            hint="Someone may be removing them. Run colabenv store push again later.",
        )

    @property
    def _manifest_name(self) -> str:
        return manifest_name(self.request.lock.pins_digest, self.request.tag)

    def _find_layers(self) -> None:
        request = self.request
        if request.force:
            return
        names = {digest: name for name, digest in request.wheels.items()}
        known = find_known_layers(self.backend, request.tag, request.lock.pins_digest, names)
        self.layers = {layer.name: layer for layer in known.values()}
        self._adopt_layers(read_manifest(self.backend, self._manifest_name))
        self._adopt_layers(read_manifest(self.backend, python_manifest_name(request.tag)))
        self._forget_missing_objects()

    def _adopt_layers(self, manifest: Manifest | None) -> None:
        """Keep what another push of the same lock has uploaded, even if this machine does not know the wheel."""
        if manifest is None:
            return
        for name, layer in select_layers([manifest], self.request.lock, self.request.tag).items():
            self.layers.setdefault(name, layer)
        python, own = manifest.interpreter, self.request.interpreter
        if python is not None and own is not None and python.version == own.name:
            self.layers.setdefault(_PYTHON, python)

    def _forget_missing_objects(self) -> bool:
        """Forget layers whose objects do not exist; whether there were any."""
        tag = self.request.tag
        existing = existing_objects(self.backend, tag, self.layers.values())
        missing = [name for name, layer in self.layers.items() if layer.object_name(tag) not in existing]
        for name in missing:
            del self.layers[name]
        return bool(missing)

    def _send_missing(self) -> None:
        """Pack and send what the store lacks, the largest first."""
        sizes = {_PYTHON: 1 << 40, **self.request.sizes}
        wanted = [*self.request.wheels, *([_PYTHON] if self.request.interpreter else [])]
        missing = [name for name in wanted if name not in self.layers and name not in self.refused]
        if not missing:
            return
        missing.sort(key=lambda name: -sizes.get(name, 0))
        self.progress.stage("Packing and uploading")
        pool = UploadPool(self.backend, self.request.tag, self._pack)
        for uploaded in pool.run([(name, self.request.sizes.get(name, 200 << 20)) for name in missing]):
            if uploaded.layer is None:
                self.refused[uploaded.name] = uploaded.refusal
            else:
                self.layers[uploaded.name] = self.sent[uploaded.name] = uploaded.layer
            size = sum(layer.bytes for layer in self.sent.values())
            self.progress.update(f"{len(self.sent)} of {len(missing)} packages, {size / 1e6:.0f} MB sent")

    def _pack(self, name: str) -> PackedLayer:
        request = self.request
        if name == _PYTHON and request.interpreter is not None:
            return pack_python(request.interpreter, self.folder)
        version = request.lock.version_of(name) or ""
        return pack_distribution(request.prefix, name, version, request.wheels[name], self.folder)

    def _merged_manifest(self, older: Manifest | None) -> Manifest:
        """What the store has for the lock now; `older` itself if nothing has changed."""
        request = self.request
        layers = [layer for name, layer in self.layers.items() if name != _PYTHON]
        manifest = Manifest(
            lock=request.lock.pins_digest,
            tag=request.tag,
            profile=request.profile,
            variant=request.lock.header.variant,
            python=request.python,
            made=int(time.time()),
            layers=tuple(sorted(layers, key=lambda layer: layer.name)),
            interpreter=self.layers.get(_PYTHON),
        )
        if older is None:
            return manifest
        if manifest.interpreter is None:
            # This machine's environment uses another Python, but other machines may need the managed one.
            manifest = dataclasses.replace(manifest, interpreter=older.interpreter, python=older.python)
        same = (manifest.layers, manifest.interpreter) == (older.layers, older.interpreter)
        return older if same else manifest

    def _write_manifest(self) -> Manifest:
        """Write the manifest, unless the store has the same one."""
        older = read_manifest(self.backend, self._manifest_name)
        self._adopt_layers(older)
        manifest = self._merged_manifest(older)
        if manifest == older:
            today = time.strftime("%Y-%m-%d", time.gmtime())
            with contextlib.suppress(StoreError):  # only the time of the last use
                self.backend.write(usage_name(self._manifest_name), today.encode())
        else:
            self.backend.write(self._manifest_name, dump_manifest(manifest))
        self._write_python_manifest(manifest)
        return manifest

    def _write_python_manifest(self, manifest: Manifest) -> None:
        """Name this environment's managed Python as the newest of its tag, unless a newer one is named."""
        own = self.layers.get(_PYTHON)
        if own is None:
            return
        name = python_manifest_name(manifest.tag)
        newest = read_manifest(self.backend, name)
        python = newest.interpreter if newest else None
        if python is None or (python != own and _python_release(python) <= _python_release(own)):
            self.backend.write(name, dump_manifest(dataclasses.replace(manifest, layers=())))

    def _is_complete(self) -> bool:
        """Whether the manifest and everything that it names still exist."""
        self._wait_for_gc()
        missing = self._forget_missing_objects()
        return not missing and read_manifest(self.backend, self._manifest_name) is not None

    def _wait_for_gc(self) -> None:
        """Wait while a `store gc` runs that may not have seen the manifest yet; see `colabenv.store.gc`."""
        waited = 0.0
        while waited < 2 * FRESH_SECONDS and any(
            entry.name.startswith(REMOVING) for entry in self.backend.entries(PUSHING)
        ):
            self.progress.update("waiting for a store gc to finish")
            self.pause(0.5)
            waited += 0.5

    @contextlib.contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + time.monotonic() - started


def _python_release(python: Layer) -> tuple[int, ...]:
    """The release of a managed Python, from its folder's name, such as cpython-3.11.9-linux-x86_64-gnu."""
    match = re.search(r"\d+(?:\.\d+)+", python.version)
    return tuple(map(int, match[0].split("."))) if match else ()
