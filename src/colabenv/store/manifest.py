"""What a store holds, as data: layers, the manifest of an environment, and their text. Pure.

A layer is the installed form of one wheel. Its object is a row of chunks, each a zstd frame of its own, so that one
large layer can be fetched and unpacked by many at once, and each piece is checked before it is looked into. Whatever
is read here may come from anybody who can write to the store, so nothing of it is believed that was not checked.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from colabenv.errors import StoreError
from colabenv.lock.lockfile import Lock, digest_of, normalised, same_version

FORMAT = 1
#: Most bytes that a chunk unpacks to. With a few chunks in flight memory stays below 400 MB.
CHUNK_BYTES = 16 << 20
#: Largest manifest that is read, in bytes. One of 600 layers has 300 kB.
MANIFEST_LIMIT = 16 << 20

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TAG = re.compile(r"[a-z0-9_]{1,60}-[a-z0-9_]{1,60}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]{0,120}")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,120}[a-z0-9])?")
#: Most bytes that one layer may unpack to: three times the largest that is known (PyTorch's CUDA libraries).
_LAYER_LIMIT = 12 << 30


@dataclass(frozen=True)
class Chunk:
    """A piece of an object.

    Attributes:
        bytes: in the store.
        unpacked: bytes that it unpacks to, exactly.
        digest: sha256 of the bytes in the store, as hex digits.
    """

    bytes: int
    unpacked: int
    digest: str


@dataclass(frozen=True)
class Layer:
    """The installed form of one wheel, or a managed Python.

    Attributes:
        name: normalised name of the distribution; "python" for a managed Python.
        version: of the distribution; for a managed Python the name of its folder.
        wheel: sha256 of the wheel, as hex digits; "" for a managed Python.
        files: how many files it has.
        chunks: of its object, in order.
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
        """Where its object is kept: named by the wheel and by its content, so nobody overwrites another's."""
        kept = self.wheel or f"python-{self.version}"
        return f"layers/{tag}/{kept}-{self.digest[:32]}.layer"


@dataclass(frozen=True)
class Manifest:
    """What one environment consists of.

    Attributes:
        lock: digest of the lock's pins.
        tag: of Python and platform.
        profile: name of the profile it was pushed for.
        variant: "cpu" or "gpu".
        python: full version of the environment's Python.
        made: seconds since the epoch.
        layers: sorted by name. Pins that could not be kept have none.
        interpreter: the managed Python it was built on, or None where that was another.
    """

    lock: str
    tag: str
    profile: str
    variant: str
    python: str
    made: int
    layers: tuple[Layer, ...]
    interpreter: Layer | None = None

    def objects(self) -> tuple[str, ...]:
        """The names of all objects that it needs."""
        held = [*self.layers, *([self.interpreter] if self.interpreter else [])]
        return tuple(layer.object_name(self.tag) for layer in held)


def format_tag(minor: str, platform: str) -> str:
    """The tag of a Python and a platform, such as "cp311-linux_x86_64".

    Args:
        minor: such as "3.11".
        platform: as `sysconfig.get_platform()` has it, such as "linux-x86_64".
    """
    return f"cp{minor.replace('.', '')}-{re.sub(r'[^a-z0-9]', '_', platform.lower())}"


def manifest_name(pins_digest: str, tag: str) -> str:
    """Where the manifest of a lock is kept. Known without a listing, which a plain web server does not have."""
    return f"manifests/{tag}/{digest_of({'lock': pins_digest, 'tag': tag})}.json"


def python_manifest_name(tag: str) -> str:
    """Where it is kept which managed Python a tag has."""
    return f"pythons/{tag}.json"


def dump_manifest(manifest: Manifest) -> bytes:
    """The manifest's text: JSON that holds its own digest."""
    body = dataclasses.asdict(manifest) | {"format": FORMAT}
    body["layers"] = [_plain(layer) for layer in manifest.layers]
    body["interpreter"] = _plain(manifest.interpreter) if manifest.interpreter else None
    return json.dumps({"digest": digest_of(body), "manifest": body}, separators=(",", ":")).encode() + b"\n"


def _plain(layer: Layer) -> dict[str, Any]:
    return {
        "name": layer.name,
        "version": layer.version,
        "wheel": layer.wheel,
        "files": layer.files,
        "chunks": [[chunk.bytes, chunk.unpacked, chunk.digest] for chunk in layer.chunks],
    }


def parse_manifest(data: bytes, name: str) -> Manifest:
    """Read a manifest.

    Args:
        data: its bytes, from whoever can write to the store.
        name: of the object, for errors.

    Raises:
        StoreError: it is cut off, changed, of another format, or claims what cannot be.
    """
    try:
        if len(data) > MANIFEST_LIMIT:
            raise ValueError("it is too large")
        whole = json.loads(data)
        body = whole["manifest"]
        if digest_of(body) != whole["digest"]:
            raise ValueError("its digest does not agree with what it says")
        if body["format"] != FORMAT:
            raise ValueError(f"it has format {body['format']!r}, and this colabenv knows {FORMAT}")
        return _read(body)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        said = str(error) if type(error) is ValueError else "it is no manifest"
        raise StoreError(f"{name} in the store cannot be used: {said}.", hint=_PUSH_AGAIN) from None


def _read(body: Mapping[str, Any]) -> Manifest:
    held = body["interpreter"]
    return Manifest(
        lock=_text(body["lock"], _SHA256),
        tag=_text(body["tag"], _TAG),
        profile=_text(body["profile"], _VERSION),
        variant=_text(body["variant"], _VERSION),
        python=_text(body["python"], _VERSION),
        made=_count(body["made"], 1 << 40),
        layers=tuple(_layer(each) for each in body["layers"]),
        interpreter=_layer(held, wheel=False) if held is not None else None,
    )


def _layer(raw: Mapping[str, Any], *, wheel: bool = True) -> Layer:
    layer = Layer(
        name=_text(raw["name"], _NAME),
        version=_text(raw["version"], _VERSION),
        wheel=_text(raw["wheel"], _SHA256) if wheel else _text(raw["wheel"], re.compile("")),
        files=_count(raw["files"], 10_000_000),
        chunks=tuple(_chunk(each) for each in raw["chunks"]),
    )
    if layer.unpacked > _LAYER_LIMIT:
        raise ValueError(f"{layer.name} claims to have {layer.unpacked} bytes")
    return layer


def _chunk(raw: Any) -> Chunk:
    packed, unpacked, digest = raw
    # What zstd cannot make smaller it makes larger by some bytes.
    return Chunk(
        _count(packed, CHUNK_BYTES + (1 << 17)),
        _count(unpacked, CHUNK_BYTES + (1 << 17)),
        _text(digest, _SHA256),
    )


def _text(value: object, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"it holds {str(value)[:40]!r} where that cannot be")
    return value


def _count(value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"it holds {str(value)[:40]!r} where that cannot be")
    return value


def select_layers(manifests: Iterable[Manifest], lock: Lock, tag: str) -> dict[str, Layer]:
    """The layers that a lock allows, by the pin's name; of two for one pin the first.

    A layer fits a pin that has its name, its version and, among its hashes, that of its wheel.

    Args:
        manifests: the most trusted first.
        lock: what is to be installed.
        tag: of the Python and platform to install for.
    """
    pins = {pin.name: pin for pin in lock.pins}
    found: dict[str, Layer] = {}
    for manifest in manifests:
        if manifest.tag != tag:
            continue
        for layer in manifest.layers:
            pin = pins.get(normalised(layer.name))
            if pin is None or layer.name in found or f"sha256:{layer.wheel}" not in pin.hashes:
                continue
            if same_version(pin.version, layer.version):
                found[layer.name] = layer
    return found


_PUSH_AGAIN = "colabenv store push NAME writes it anew."
