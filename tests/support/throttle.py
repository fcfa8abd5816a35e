"""A web server for a folder that limits its total rate or stops answering."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_PIECE = 1 << 16


class Throttle:
    """The limits of a server.

    Args:
        rate: bytes per second; 0 for no limit.
        silent: regular expression for paths that the server never answers.
        most: total number of bytes, after which the server waits until `most` is raised.
    """

    def __init__(self, rate: float = 0, silent: str = "", most: int = 1 << 40) -> None:
        self.rate, self.silent, self.most = rate, silent, most
        self.closed = threading.Event()
        self.sent = 0
        self._lock = threading.Lock()
        self._free = time.monotonic()

    def wait_for(self, count: int) -> None:
        """Wait until this number of bytes may be sent."""
        with self._lock:
            self.sent += count
            self._free = max(self._free, time.monotonic()) + (count / self.rate if self.rate else 0)
            start = self._free
        self.closed.wait(max(0.0, start - time.monotonic()))
        while self.sent > self.most and not self.closed.wait(0.01):
            pass


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, throttle: Throttle, *arguments: object, **named: object) -> None:
        self._throttle = throttle
        super().__init__(*arguments, **named)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self._throttle.silent and re.search(self._throttle.silent, self.path):
            self._throttle.closed.wait(120)
            self.close_connection = True
            return
        path = Path(self.translate_path(self.path))
        data = path.read_bytes() if path.is_file() else b""
        requested = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, end = 0, len(data) - 1
        if requested:
            start, end = int(requested[1]), int(requested[2] or end)
        part = data[start : end + 1]
        self.send_response(404 if not path.is_file() else 206 if requested else 200)
        if requested and path.is_file():
            self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        with contextlib.suppress(OSError):
            for place in range(0, len(part), _PIECE):
                self._throttle.wait_for(len(part[place : place + _PIECE]))
                if self._throttle.closed.is_set():
                    self.close_connection = True
                    return
                self.wfile.write(part[place : place + _PIECE])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Log nothing."""


@contextlib.contextmanager
def serve_throttled(folder: Path, throttle: Throttle) -> Iterator[str]:
    """Serve a folder; yields its address."""
    handler = partial(_Handler, throttle, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        throttle.closed.set()
        server.shutdown()
        thread.join()
        server.server_close()
