"""A package index on loopback that can be broken at will.

It speaks the simple repository API as HTML (PEP 503) and as JSON (PEP 691), tells each file's sha256, and serves
each wheel's metadata apart (PEP 658), as the public index does. Its packages are made on the spot or lie in a
folder. `Index.faults` says what goes wrong with which path.
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

from support.patience import FOREVER

_JSON = "application/vnd.pypi.simple.v1+json"
_PIECE = 1 << 14
#: Seconds. A held answer ends by itself, so that a test that fails leaves no thread behind.
_PATIENCE = float(FOREVER)


@dataclass
class PausedAnswer:
    """Where an answer stops until it is let go.

    Attributes:
        after: bytes of the body to send before it stops.
        reached: set once it has stopped.
        let_go: set it to have the rest sent.
    """

    after: int = 0
    reached: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Fault:
    """What goes wrong with an answer; what is not given goes right.

    Attributes:
        status: HTTP status instead of 200.
        drop_after: bytes of the body after which the connection is cut.
        keep: how many bytes the body has, though the file has more; the answer itself is complete.
        flip: one bit in the middle of the body is another.
        bytes_per_second: how fast the body is sent.
        hold: where it stops for a while.
    """

    status: int = 200
    drop_after: int | None = None
    keep: int | None = None
    flip: bool = False
    bytes_per_second: float = 0
    hold: PausedAnswer | None = None

    def body(self, data: bytes) -> bytes:
        """What is sent for `data`."""
        if self.keep is not None:
            data = data[: self.keep]
        if self.flip:
            middle = len(data) // 2
            data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        return data


class Index:
    """The index: packages, faults, and what was asked. Use it as a context manager, or `start` and `stop` it.

    Args:
        folder: wheels to serve besides those that are added.
        certificate: PEM file with key and certificate, to serve https.
    """

    def __init__(self, folder: Path | None = None, certificate: Path | None = None) -> None:
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self.faults: dict[str, Fault] = {}
        self.credentials: tuple[str, str] | None = None
        self.asked: list[str] = []
        self.other: dict[str, bytes] = {}
        self.tells_times = True
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
        """What to give an installer, also while the index is stopped."""
        return f"{self.site}/simple"

    @property
    def site(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    def add(self, filename: str, data: bytes) -> None:
        """Serve a file under its project; replaces one of that name."""
        self._files[filename] = data
        self._added.add(filename)
        self._digests[filename] = hashlib.sha256(data).hexdigest()

    def remove(self, filename: str) -> None:
        """Serve a file no longer."""
        del self._files[filename], self._digests[filename]

    def hold(self, path: str, after: int = 0) -> PausedAnswer:
        """Have answers for paths that match the expression stop after so many bytes."""
        hold = PausedAnswer(after)
        self.faults[path] = Fault(hold=hold)
        return hold

    @contextlib.contextmanager
    def restore_afterwards(self) -> Iterator[set[str]]:
        """Restore the current state at the end; yields the names of files that are added meanwhile."""
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
            self.asked.clear()
            self.other.clear()

    def clear_faults(self) -> None:
        """Remove all faults and let paused answers continue."""
        for fault in self.faults.values():
            if fault.hold is not None:
                fault.hold.let_go.set()
        self.faults.clear()

    def start(self) -> None:
        """Listen; on the same port as before where it was started before."""
        self.stopping.clear()
        index = self

        class Handler(_Handler):
            served = index

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        if self._tls is not None:
            # The handshake belongs into the connection's thread; here it would block the others.
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Be gone: connections are refused, those that are open are cut."""
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
        """What goes wrong with a path: the first expression that matches counts."""
        for expression, fault in list(self.faults.items()):
            if re.search(expression, path):
                return fault
        return Fault()

    def answer(self, path: str, accept: str) -> tuple[str, bytes] | None:
        """Media type and body for a path, or None."""
        if path in self.other:
            return "application/octet-stream", self.other[path]
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
            apart = ' data-core-metadata="true"' if name.endswith(".whl") else ""
            address = f"/files/{html.escape(name)}#sha256={self._digests[name]}"
            links.append(f'<a href="{address}"{apart}>{html.escape(name)}</a>')
        return "text/html", ("<!DOCTYPE html><html><body>" + "\n".join(links) + "</body></html>").encode()

    def _json_page(self, project: str, names: list[str]) -> dict[str, object]:
        files = [
            {
                "filename": name,
                "url": f"/files/{name}",
                "hashes": {"sha256": self._digests[name]},
                "core-metadata": name.endswith(".whl"),
                "size": len(self._files[name]),
                **({"upload-time": "2024-01-01T00:00:00Z"} if self.tells_times else {}),
                "yanked": False,
            }
            for name in names
        ]
        return {"meta": {"api-version": "1.1"}, "name": project, "versions": [], "files": files}


class _Handler(BaseHTTPRequestHandler):
    """Answers from `served`, with its faults."""

    served: ClassVar[Index]
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._respond(with_body=False)

    def do_GET(self) -> None:
        self._respond(with_body=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' name for it
        """Be quiet."""

    def _respond(self, *, with_body: bool) -> None:
        index, path = self.served, unquote(self.path.split("?")[0])
        index.asked.append(f"{self.command} {path}")
        path = re.sub("^http://[^/]+", "", path)  # asked as a proxy
        if not self._may_pass():
            self._send(HTTPStatus.UNAUTHORIZED, "text/plain", b"", Fault())
            return
        found, fault = index.answer(path, self.headers.get("Accept", "")), index.fault_for(path)
        if found is None or fault.status != 200:
            status = HTTPStatus(fault.status if fault.status != 200 else 404)
            self._send(
                status, "text/plain", status.phrase.encode() if with_body else b"", Fault(hold=fault.hold)
            )
            return
        self._send(HTTPStatus.OK, found[0], fault.body(found[1]), fault, with_body=with_body)

    def _may_pass(self) -> bool:
        wanted = self.served.credentials
        if wanted is None:
            return True
        text = base64.b64encode(f"{wanted[0]}:{wanted[1]}".encode()).decode()
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
            if fault.hold is not None and start >= fault.hold.after and not fault.hold.let_go.is_set():
                self.wfile.flush()
                fault.hold.reached.set()
                fault.hold.let_go.wait(_PATIENCE)
                if index.stopping.is_set():
                    self.close_connection = True
                    return
            self.wfile.write(body[start:end])
            if fault.bytes_per_second:
                time.sleep((end - start) / fault.bytes_per_second)


def _pieces(size: int, fault: Fault) -> Iterator[tuple[int, int]]:
    """Ranges of a body, with a border where the fault has one."""
    borders = {0, size, *range(0, size, _PIECE)}
    borders |= {
        min(size, place) for place in (fault.drop_after, fault.hold.after if fault.hold else None) if place
    }
    ordered = sorted(borders)
    yield from itertools.pairwise(ordered)


def project_of(filename: str) -> str:
    """The project a wheel or source archive belongs to."""
    if filename.endswith(".whl"):
        return filename.split("-", maxsplit=1)[0]
    return filename.removesuffix(".tar.gz").rsplit("-", 1)[0]


def metadata_of(wheel: bytes) -> bytes:
    """The METADATA in a wheel."""
    with zipfile.ZipFile(BytesIO(wheel)) as archive:
        (name,) = (name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        return archive.read(name)
