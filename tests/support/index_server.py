"""A package index on loopback whose answers can fail.

Like the public index, it implements the simple repository API as HTML (PEP 503) and JSON (PEP 691) with the sha256 of
each file, and serves the metadata of each wheel separately (PEP 658). Its files come from a folder or from memory.
`Index.faults` says which answers fail, and how.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import itertools
import json
import re
import ssl
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import ClassVar
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from support.timeouts import FOREVER

_JSON = "application/vnd.pypi.simple.v1+json"
_PIECE = 1 << 14
#: Seconds after which a paused answer continues, so that a failed test leaves no thread behind.
_PAUSE_LIMIT = float(FOREVER)


@dataclass
class PausedAnswer:
    """A pause in an answer, until the test continues it.

    Attributes:
        after: bytes of the body to send before the pause.
        reached: set when the answer has paused.
        resume: set this to send the rest.
    """

    after: int = 0
    reached: threading.Event = field(default_factory=threading.Event)
    resume: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Fault:
    """A fault in an answer.

    Attributes:
        status: HTTP status instead of 200.
        drop_after: bytes of the body after which the connection is closed.
        keep: bytes of the file to send as a complete, but truncated body.
        flip: whether one bit in the middle of the body is flipped.
        bytes_per_second: rate of the body; 0 for no limit.
        pause: a pause in the body, or None.
    """

    status: int = 200
    drop_after: int | None = None
    keep: int | None = None
    flip: bool = False
    bytes_per_second: float = 0
    pause: PausedAnswer | None = None

    def body(self, data: bytes) -> bytes:
        """The body to send for `data`."""
        if self.keep is not None:
            data = data[: self.keep]
        if self.flip:
            middle = len(data) // 2
            data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        return data


class Index:
    """The index. Use it as a context manager, or call `start` and `stop`.

    Args:
        folder: a folder of wheels to serve.
        certificate: PEM file with key and certificate, to serve https.

    Attributes:
        faults: regular expression for paths, to the fault of their answers; the first match counts.
        credentials: user and password that requests must have, or None.
        requests: method and path of each request.
        extra_files: content of further paths, which are not package files.
        has_upload_times: whether JSON pages contain upload times.
        stopping: set while the index stops.
    """

    def __init__(self, folder: Path | None = None, certificate: Path | None = None) -> None:
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self.faults: dict[str, Fault] = {}
        self.credentials: tuple[str, str] | None = None
        self.requests: list[str] = []
        self.extra_files: dict[str, bytes] = {}
        self.has_upload_times = True
        self.stopping = threading.Event()
        self._files: dict[str, bytes] = {}
        self._digests: dict[str, str] = {}
        self._added: set[str] = set()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._port = 0
        for path in sorted(folder.iterdir()) if folder else []:
            if path.suffix == ".whl":
                self.add(path.name, path.read_bytes())

    @property
    def url(self) -> str:
        """The index URL for installers; stays the same after a stop and a start."""
        return f"{self.site}/simple"

    @property
    def site(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    def add(self, filename: str, data: bytes) -> None:
        """Serve a file on the page of its project; replaces a file of this name."""
        self._files[filename] = data
        self._added.add(filename)
        self._digests[filename] = hashlib.sha256(data).hexdigest()

    def remove(self, filename: str) -> None:
        """Stop serving a file."""
        del self._files[filename], self._digests[filename]

    def pause(self, path: str, after: int = 0) -> PausedAnswer:
        """Pause answers for paths that match a regular expression after this number of bytes."""
        pause = PausedAnswer(after)
        self.faults[path] = Fault(pause=pause)
        return pause

    @contextlib.contextmanager
    def restore_afterwards(self) -> Iterator[set[str]]:
        """Restore the current state at the end; yields the set of files that are added in between."""
        files, digests, added = dict(self._files), dict(self._digests), self._added
        added.clear()
        try:
            yield added
        finally:
            self.clear_faults()
            if self._server is None:
                self.start()
            self._files, self._digests = files, digests
            self.credentials = None
            self.requests.clear()
            self.extra_files.clear()

    def clear_faults(self) -> None:
        """Remove all faults and let paused answers continue."""
        for fault in self.faults.values():
            if fault.pause is not None:
                fault.pause.resume.set()
        self.faults.clear()

    def start(self) -> None:
        """Start listening; after the first time, on the same port as before."""
        self.stopping.clear()
        index = self

        class Handler(_Handler):
            served = index

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        if self._tls is not None:
            # Without this, the handshake would block the thread that accepts connections.
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Refuse new connections and close open ones."""
        if self._server is None or self._thread is None:
            return
        self.stopping.set()
        self.clear_faults()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._server = None

    def __enter__(self) -> Index:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def fault_for(self, path: str) -> Fault:
        """The fault of a path: that of the first expression that matches."""
        for expression, fault in list(self.faults.items()):
            if re.search(expression, path):
                return fault
        return Fault()

    def answer(self, path: str, accept: str) -> tuple[str, bytes] | None:
        """Media type and body for a path, or None."""
        if path in self.extra_files:
            return "application/octet-stream", self.extra_files[path]
        place, _, rest = path.strip("/").partition("/")
        if place == "simple" and rest:
            return self._page(canonicalize_name(rest), accept)
        if place == "files" and rest in self._files:
            return "application/octet-stream", self._files[rest]
        if place == "files" and rest.endswith(".whl.metadata") and rest[:-9] in self._files:
            return "text/plain", metadata_of(self._files[rest[:-9]])
        return None

    def _page(self, project: str, accept: str) -> tuple[str, bytes] | None:
        names = [name for name in self._files if canonicalize_name(project_of(name)) == project]
        if not names:
            return None
        if _JSON in accept:
            return _JSON, json.dumps(self._json_page(project, names)).encode()
        links = []
        for name in names:
            attribute = ' data-core-metadata="true"' if name.endswith(".whl") else ""
            address = f"/files/{html.escape(name)}#sha256={self._digests[name]}"
            links.append(f'<a href="{address}"{attribute}>{html.escape(name)}</a>')
        return "text/html", ("<!DOCTYPE html><html><body>" + "\n".join(links) + "</body></html>").encode()

    def _json_page(self, project: str, names: list[str]) -> dict[str, object]:
        files = [
            {
                "filename": name,
                "url": f"/files/{name}",
                "hashes": {"sha256": self._digests[name]},
                "core-metadata": name.endswith(".whl"),
                "size": len(self._files[name]),
                **({"upload-time": "2024-01-01T00:00:00Z"} if self.has_upload_times else {}),
                "yanked": False,
            }
            for name in names
        ]
        return {"meta": {"api-version": "1.1"}, "name": project, "versions": [], "files": files}


class _Handler(BaseHTTPRequestHandler):
    """Sends the answers of an index, with their faults."""

    served: ClassVar[Index]
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._respond(with_body=False)

    def do_GET(self) -> None:
        self._respond(with_body=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Log nothing."""

    def _respond(self, *, with_body: bool) -> None:
        index, path = self.served, unquote(self.path.split("?")[0])
        index.requests.append(f"{self.command} {path}")
        path = re.sub("^http://[^/]+", "", path)  # the index is used as a proxy
        if not self._is_authorized():
            self._send(HTTPStatus.UNAUTHORIZED, "text/plain", b"", Fault())
            return
        answer, fault = index.answer(path, self.headers.get("Accept", "")), index.fault_for(path)
        if answer is None or fault.status != 200:
            status = HTTPStatus(fault.status if fault.status != 200 else 404)
            self._send(
                status, "text/plain", status.phrase.encode() if with_body else b"", Fault(pause=fault.pause)
            )
            return
        self._send(HTTPStatus.OK, answer[0], fault.body(answer[1]), fault, with_body=with_body)

    def _is_authorized(self) -> bool:
        expected = self.served.credentials
        if expected is None:
            return True
        text = base64.b64encode(f"{expected[0]}:{expected[1]}".encode()).decode()
        return self.headers.get("Authorization", "") == f"Basic {text}"

    def _send(
        self, status: HTTPStatus, kind: str, body: bytes, fault: Fault, *, with_body: bool = True
    ) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            if status == HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self._send_body(body, fault)

    def _send_body(self, body: bytes, fault: Fault) -> None:
        index = self.served
        for start, end in _pieces(len(body), fault):
            if index.stopping.is_set() or (fault.drop_after is not None and start >= fault.drop_after):
                self.close_connection = True
                return
            if fault.pause is not None and start >= fault.pause.after and not fault.pause.resume.is_set():
                self.wfile.flush()
                fault.pause.reached.set()
                fault.pause.resume.wait(_PAUSE_LIMIT)
                if index.stopping.is_set():
                    self.close_connection = True
                    return
            self.wfile.write(body[start:end])
            if fault.bytes_per_second:
                time.sleep((end - start) / fault.bytes_per_second)


def _pieces(size: int, fault: Fault) -> Iterator[tuple[int, int]]:
    """Ranges of a body. One ends where the fault drops or pauses the answer."""
    bounds = {0, size, *range(0, size, _PIECE)}
    bounds |= {
        min(size, place) for place in (fault.drop_after, fault.pause.after if fault.pause else None) if place
    }
    yield from itertools.pairwise(sorted(bounds))


def project_of(filename: str) -> str:
    """The project name in the file name of a wheel or source archive."""
    if filename.endswith(".whl"):
        return filename.split("-", maxsplit=1)[0]
    return filename.removesuffix(".tar.gz").rsplit("-", 1)[0]


def metadata_of(wheel: bytes) -> bytes:
    """The METADATA of a wheel."""
    with zipfile.ZipFile(BytesIO(wheel)) as archive:
        (name,) = (name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        return archive.read(name)
