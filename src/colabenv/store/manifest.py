"""The data in a store: layers, the manifest of an environment, and their JSON.

A layer is the installed form of one wheel. Its object is a sequence of chunks, each a separate zstd frame, which
several threads can download and unpack. Anyone who can write to the store can change what is read here, so every field
is checked.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.utils import canonicalize_name

from colabenv.errors import StoreError
from colabenv.lock.lockfile import Lock, compute_digest, is_same_version

FORMAT = 1
#: Most bytes that a chunk unpacks to. With a few chunks in flight memory stays below 400 MB.
CHUNK_BYTES = 16 << 20
MANIFEST_LIMIT = 16 << 20  # Largest manifest that is read, in bytes. One of 600 layers has 300 kB.

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TAG = re.compile(r"[a-z0-9_]{1,60}-[a-z0-9_]{1,60}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]{0,120}")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,120}[a-z0-9])?")
_PYTHON_FOLDER = re.compile(r"cpython-(?P<version>3\.[0-9]+\.[0-9]+)-[a-z0-9_.-]+")
#: Most bytes that one layer may unpack to: three times the largest known (PyTorch's CUDA libraries).
_LAYER_LIMIT = 12 << 30
_CHUNK_LIMIT = CHUNK_BYTES + (1 << 17)  # what zstd cannot compress becomes larger by some bytes


@dataclass(frozen=True)
class Chunk:
    """A part of an object: its bytes in the store, the exact size that it unpacks to, and its sha256 as hex digits."""

    bytes: int
    unpacked: int
    digest: str


@dataclass(frozen=True)
class Layer:
    """The installed form of one wheel (its sha256 as hex digits), or a managed Python; the name is normalized.

    A managed Python is called "python", has its folder's name as version, and no wheel.
    """

    name: str
    version: str
    wheel: str
    files: int
    chunks: tuple[Chunk, ...]

    @property
    def bytes(self) -> int:
        """Size of the object in the store."""
        return sum(chunk.bytes for chunk in self.chunks)

    @property
    def unpacked(self) -> int:
        """Size of all chunks when they are unpacked: the files and their index."""
        return sum(chunk.unpacked for chunk in self.chunks)

    @property
    def digest(self) -> str:
        """sha256 over the chunks' digests, as hex digits."""
        return hashlib.sha256("".join(chunk.digest for chunk in self.chunks).encode()).hexdigest()

    def object_name(self, tag: str) -> str:
        """Name of its object, from the wheel and the content, so that different layers never overwrite each other."""
        content = self.wheel or f"python-{self.version}"
        return f"layers/{tag}/{content}-{self.digest[:32]}.layer"


@dataclass(frozen=True)
class Manifest:
    """What one environment consists of, for the pins with the digest `lock` and a tag of Python and platform.

    Layers are sorted by name; pins that could not be stored have none. `interpreter` is the managed Python that the
    environment was built on, if it was one. `made` is in seconds since the epoch.
    """

    lock: str
    tag: str
    profile: str
    variant: str
    python: str
    made: int
    layers: tuple[Layer, ...]
    interpreter: Layer | None = None

    def all_layers(self) -> tuple[Layer, ...]:
        """The layers, and the managed Python if there is one."""
        return (*self.layers, *([self.interpreter] if self.interpreter else []))

    def objects(self) -> tuple[str, ...]:
        """The names of all objects that it needs."""
        return tuple(layer.object_name(self.tag) for layer in self.all_layers())


def format_tag(minor: str, platform: str) -> str:
    """The tag of a Python such as "3.11" and a `sysconfig.get_platform()`, such as "cp311-linux_x86_64"."""
    return f"cp{minor.replace('.', '')}-{re.sub(r'[^a-z0-9]', '_', platform.lower())}"


def manifest_name(pins_digest: str, tag: str) -> str:
    """The object of a lock's manifest. It can be found without a listing, which a web server does not have."""
    return f"manifests/{tag}/{compute_digest({'lock': pins_digest, 'tag': tag})}.json"


def python_manifest_name(tag: str) -> str:
    """The object that names the managed Python of a tag."""
    return f"pythons/{tag}.json"


def dump_manifest(manifest: Manifest) -> bytes:
    """The manifest as JSON that contains its own digest."""
    layers = [_dump_layer(layer) for layer in manifest.layers]
    interpreter = _dump_layer(manifest.interpreter) if manifest.interpreter else None
    body = {**vars(manifest), "layers": layers, "interpreter": interpreter, "format": FORMAT}
    document = {"digest": compute_digest(body), "manifest": body}
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _dump_layer(layer: Layer) -> dict[str, Any]:
    chunks = [[chunk.bytes, chunk.unpacked, chunk.digest] for chunk in layer.chunks]
    return {**vars(layer), "chunks": chunks}


def parse_manifest(data: bytes, name: str) -> Manifest:
    """Read the content of the object `name`, which is not trusted.

    Raises:
        StoreError: it is truncated, changed, has another format or impossible values.
    """
    try:
        if len(data) > MANIFEST_LIMIT:
            raise ValueError("it is too large")
        document = json.loads(data)
        body = document["manifest"]
        if compute_digest(body) != document["digest"]:
            raise ValueError("its digest does not match its content")
        if body["format"] != FORMAT:
            raise ValueError(f"it has format {body['format']!r}, and this version of colabenv reads {FORMAT}")
        return _parse_body(body)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem = str(error) if type(error) is ValueError else "it is not a manifest"
        raise StoreError(
            f"{name} in the store cannot be used: {problem}.", hint="colabenv store push NAME replaces it."
        ) from None


def _parse_body(body: Mapping[str, Any]) -> Manifest:
    interpreter = body["interpreter"]
    return Manifest(
        lock=_parse_text(body["lock"], _SHA256),
        tag=_parse_text(body["tag"], _TAG),
        profile=_parse_text(body["profile"], _VERSION),
        variant=_parse_text(body["variant"], _VERSION),
        python=_parse_text(body["python"], _VERSION),
        made=_parse_count(body["made"], 1 << 40),
        layers=tuple(_parse_layer(layer, _SHA256) for layer in body["layers"]),
        interpreter=_parse_layer(interpreter, re.compile("")) if interpreter is not None else None,
    )


def _parse_layer(raw: Mapping[str, Any], wheel: re.Pattern[str]) -> Layer:
    layer = Layer(
        name=_parse_text(raw["name"], _NAME),
        version=_parse_text(raw["version"], _VERSION),
        wheel=_parse_text(raw["wheel"], wheel),
        files=_parse_count(raw["files"], 10_000_000),
        chunks=tuple(
            Chunk(
                _parse_count(packed, _CHUNK_LIMIT),
                _parse_count(unpacked, _CHUNK_LIMIT),
                _parse_text(digest, _SHA256),
            )
            for packed, unpacked, digest in raw["chunks"]
        ),
    )
    if layer.unpacked > _LAYER_LIMIT:
        raise ValueError(f"{layer.name} claims to have {layer.unpacked} bytes")
    return layer


def _parse_text(value: object, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"it contains {str(value)[:40]!r}, which is not allowed there")
    return value


def _parse_count(value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"it contains {str(value)[:40]!r}, which is not allowed there")
    return value


def select_layers(manifests: Iterable[Manifest], lock: Lock, tag: str) -> dict[str, Layer]:
    """The layers with a pin's name, version and wheel, by the pin's name; of several that of the first manifest."""
    pins = {pin.name: pin for pin in lock.pins}
    selected: dict[str, Layer] = {}
    for manifest in manifests:
        for layer in manifest.layers if manifest.tag == tag else ():
            pin = pins.get(canonicalize_name(layer.name))
            if pin is None or layer.name in selected or f"sha256:{layer.wheel}" not in pin.hashes:
                continue
            if is_same_version(pin.version, layer.version):
                selected[layer.name] = layer
    return selected


def managed_python_version(folder: str) -> str:
    """The version in the name of a managed Python's folder, such as "3.10.20"; "" if it is not a CPython's."""
    match = _PYTHON_FOLDER.fullmatch(folder)
    return match["version"] if match else ""


def parse_python_manifest(data: bytes, tag: str, name: str) -> Layer:
    """The managed Python that the untrusted content of the object `name` names for a tag; see `parse_manifest`."""
    manifest = parse_manifest(data, name)
    layer = manifest.interpreter
    if manifest.tag != tag or layer is None or not managed_python_version(layer.version):
        raise StoreError(f"{name} in the store cannot be used: it does not name a Python of {tag}.")
    return layer
