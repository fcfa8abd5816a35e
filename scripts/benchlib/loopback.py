"""A package index and an S3 bucket on loopback, with a limit on the bytes per second of all connections together.

The index serves a folder of wheels like the public one: pages as JSON (PEP 691) with hashes, and separate metadata
(PEP 658). The bucket serves another folder to S3's GET, HEAD, PUT and list. moto would take more processor time for a
response than the client does.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import socket
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from packaging.utils import canonicalize_name, parse_wheel_filename

BUCKET = "store"
_PAGE = "application/vnd.pypi.simple.v1+json"
_PIECE = 64 << 10


@dataclass
class RateLimit:
    """Limits the bytes per second."""

    rate: int = 0  #: bytes per second, or 0 for no limit
    _free: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, count: int) -> None:
        """Wait until this many bytes may be sent."""
        with self._lock:
            now = time.monotonic()
            self._free = max(self._free, now) + count / self.rate
            wait = self._free - now
        time.sleep(max(0.0, wait))


@dataclass
class Traffic:
    """Requests and bytes since the last `clear`."""

    #: By kind: "page", "metadata", "wheel", "get", "put", "list", "busy", "absent".
    requests: dict[str, int] = field(default_factory=dict)
    bytes: int = 0  #: of response bodies
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        """Count from 0 again."""
        with self._lock:
            self.requests, self.bytes = {}, 0

    def add(self, kind: str, count: int) -> None:
        """Count a request and the bytes of its response."""
        with self._lock:
            self.requests[kind] = self.requests.get(kind, 0) + 1
            self.bytes += count


class LoopbackServer:
    """The server; a context manager.

    Args:
        wheels: folder of wheels.
        bucket: folder of the bucket's objects.

    Attributes:
        busy: share of the requests for objects that S3 answers with SlowDown.
    """

    def __init__(self, wheels: Path, bucket: Path) -> None:
        self.limit, self.traffic, self.bucket = RateLimit(), Traffic(), bucket
        self.busy = 0.0
        self.files: dict[str, Path] = {}
        self.metadata: dict[str, bytes] = {}
        self.pages: dict[str, bytes] = {}
        self._read_wheels(wheels)
        loopback_server = self

        class Handler(_Handler):
            loopback = loopback_server

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def site(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def index(self) -> dict[str, str]:
        """Environment variables that make it the only index of a program."""
        unset = dict.fromkeys(
            ("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"), ""
        )
        files = {"UV_CONFIG_FILE": os.devnull, "PIP_CONFIG_FILE": os.devnull}
        index = f"{self.site}/simple"
        return {**unset, **files, "UV_DEFAULT_INDEX": index, "PIP_INDEX_URL": index, **self._no_proxy}

    @property
    def store(self) -> dict[str, str]:
        """Environment variables with which `s3://store` is the bucket."""
        keys = {"AWS_ACCESS_KEY_ID": "loopback", "AWS_SECRET_ACCESS_KEY": "loopback"}
        return {"AWS_ENDPOINT_URL": self.site, "AWS_REGION": "us-east-1", **keys, **self._no_proxy}

    @property
    def _no_proxy(self) -> dict[str, str]:
        return dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")

    def __enter__(self) -> LoopbackServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _read_wheels(self, wheels: Path) -> None:
        """Read the wheels, their hashes and their metadata."""
        listed: dict[str, list[dict[str, object]]] = {}
        for path in sorted(wheels.glob("*.whl")):
            name = str(parse_wheel_filename(path.name)[0])
            with zipfile.ZipFile(path) as opened:
                inner = next(
                    name for name in opened.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)
                )
                data = opened.read(inner)
            self.files[path.name], self.metadata[f"{path.name}.metadata"] = path, data
            listed.setdefault(canonicalize_name(name), []).append(
                {
                    "filename": path.name,
                    "url": f"/files/{path.name}",
                    "size": path.stat().st_size,
                    "hashes": {"sha256": _hash_file(path)},
                    "core-metadata": {"sha256": hashlib.sha256(data).hexdigest()},
                }
            )
        for name, files in listed.items():
            page = {"meta": {"api-version": "1.1"}, "name": name, "versions": [], "files": files}
            self.pages[name] = json.dumps(page).encode()


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    loopback: LoopbackServer
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        parts = unquote(split.path).strip("/").split("/")
        match parts:
            case ["simple", name] if name in self.loopback.pages:
                self._send_bytes("page", self.loopback.pages[name], _PAGE)
            case ["files", name] if name in self.loopback.metadata:
                self._send_bytes("metadata", self.loopback.metadata[name])
            case ["files", name] if name in self.loopback.files:
                self._send_file("wheel", self.loopback.files[name])
            case [bucket] if bucket == BUCKET:
                prefix = parse_qs(split.query).get("prefix", [""])[0]
                self._send_bytes("list", self._list_objects(prefix), "application/xml")
            case [bucket, *_] if bucket == BUCKET and random.random() < self.loopback.busy:  # noqa: S311 - not a secret
                self._send_bytes("busy", b"<Error><Code>SlowDown</Code></Error>", "application/xml", 503)
            case [bucket, *rest] if bucket == BUCKET and (path := self._object_path(rest)).is_file():
                self._send_file("get", path)
            case _:
                self._send_bytes("absent", b"<Error><Code>NoSuchKey</Code></Error>", "application/xml", 404)

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def do_PUT(self) -> None:
        bucket, *rest = unquote(urlsplit(self.path).path).strip("/").split("/")
        data = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path = self._object_path(rest)
        if bucket == BUCKET:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        self._send_bytes("put", b"", etag='"put"')

    def _object_path(self, parts: list[str]) -> Path:
        """The file of an object."""
        return self.loopback.bucket.joinpath(*[part for part in parts if part != ".."])

    def _list_objects(self, prefix: str) -> bytes:
        root = self.loopback.bucket
        items = []
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            name, facts = str(path.relative_to(root)), path.stat()
            changed = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(facts.st_mtime))
            if name.startswith(prefix):
                items.append(
                    f"<Contents><Key>{escape(name)}</Key><Size>{facts.st_size}</Size><ETag>&quot;e&quot;</ETag>"
                    f"<LastModified>{changed}</LastModified></Contents>"
                )
        body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(items)}</ListBucketResult>"
        return body.encode()

    def _send_bytes(
        self,
        kind: str,
        data: bytes,
        media: str = "application/octet-stream",
        status: int = 200,
        etag: str = "",
    ) -> None:
        self.send_response(status)
        self._send_headers(len(data), media, etag)
        if self.command != "HEAD":
            self._send(lambda start, count: self.wfile.write(data[start : start + count]), 0, len(data))
        self.loopback.traffic.add(kind, len(data))

    def _send_file(self, kind: str, path: Path) -> None:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start, end = 0, size
            requested = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if requested:
                start, end = int(requested[1]), min(size, int(requested[2] or size - 1) + 1)
            self.send_response(206 if requested else 200)
            if requested:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            self.send_header("Last-Modified", formatdate(os.fstat(file.fileno()).st_mtime, usegmt=True))
            self.send_header("Accept-Ranges", "bytes")
            self._send_headers(end - start, "application/octet-stream", f'"{size}"')
            self.wfile.flush()
            if self.command != "HEAD":
                self._send(self._file_sender(file), start, end)
        self.loopback.traffic.add(kind, end - start if self.command != "HEAD" else 0)

    def _file_sender(self, file: BinaryIO) -> Callable[[int, int], object]:
        """A function that sends a part of a file without copying it."""
        link: socket.socket = self.connection
        return lambda start, count: link.sendfile(file, start, count)

    def _send(self, send: Callable[[int, int], object], start: int, end: int) -> None:
        """Send from `start` to `end`, as fast as the limit allows."""
        limit = self.loopback.limit
        while start < end:
            count = min(_PIECE, end - start) if limit.rate else end - start
            if limit.rate:
                limit.take(count)
            send(start, count)
            start += count

    def _send_headers(self, length: int, media: str, etag: str) -> None:
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(length))
        if etag:
            self.send_header("ETag", etag)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Log nothing."""
