"""Real servers of stores on loopback. Each is a context manager that yields its address.

There is an S3 server (moto), a Google Cloud Storage server (gcp-storage-emulator), a web server with ranges, passwords
and certificates, and servers that misbehave. The S3 server accepts `S3_KEYS`; the GCS server needs no credentials.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import logging
import re
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

S3_KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLEKEY", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI-secret-K7MDENG"}


@dataclass(frozen=True)
class Served:
    """A store on a server.

    Attributes:
        url: the URL for `open_store`.
        environ: environment variables that are needed to reach it.
    """

    url: str
    environ: dict[str, str]


@contextlib.contextmanager
def s3_server(bucket: str = "store") -> Iterator[Served]:
    """moto's S3 server with one bucket, whose objects are kept until the end, partly on disk."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        environ = {**S3_KEYS, "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_REGION": "us-east-1"}
        s3_client(environ).create_bucket(Bucket=bucket)
        yield Served(f"s3://{bucket}", environ)
    finally:
        server.stop()


def s3_client(environ: dict[str, str]) -> Any:  # boto3 creates its classes dynamically
    """A boto3 client of the server, to inspect its objects without colabenv."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=environ["AWS_ENDPOINT_URL"],
        region_name=environ["AWS_REGION"],
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
    )


@contextlib.contextmanager
def gcs_server(bucket: str = "store") -> Iterator[Served]:
    """The emulator of Google Cloud Storage with one bucket, in memory."""
    from gcp_storage_emulator.server import create_server

    port = free_port()
    logging.getLogger("gcp_storage_emulator").setLevel(logging.ERROR)
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket=bucket)
    server.start()
    try:
        yield Served(f"gs://{bucket}", {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"})
    finally:
        server.stop()


class _Files(http.server.SimpleHTTPRequestHandler):
    """Serves the files of a folder, with ranges, and with basic authentication if there is a password."""

    protocol_version = "HTTP/1.1"
    login = ""
    ranges = True

    def do_GET(self) -> None:
        expected = "Basic " + base64.b64encode(self.login.encode()).decode()
        if self.login and self.headers.get("Authorization") != expected:
            self._answer(401, b"unauthorized", {"WWW-Authenticate": "Basic"})
            return
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self._answer(404, b"not found")
            return
        data = path.read_bytes()
        requested = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not requested or not self.ranges:
            self._answer(200, data)
            return
        start, end = int(requested[1]), min(int(requested[2] or len(data)), len(data) - 1)
        if start >= len(data):
            self._answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        self._answer(206, data[start : end + 1], {"Content-Range": f"bytes {start}-{end}/{len(data)}"})

    def _answer(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:  # noqa: ARG002 - logs nothing
        return


@contextlib.contextmanager
def web_server(
    folder: Path, *, login: str = "", ranges: bool = True, certificate: Path | None = None
) -> Iterator[str]:
    """Serve a folder over HTTP; yields the address without a slash at the end.

    Args:
        folder: the folder to serve.
        login: the required `user:password`, or "".
        ranges: whether it supports byte ranges; otherwise it sends the whole file.
        certificate: a PEM file with key and certificate, for https.
    """
    handler = type("Files", (_Files,), {"login": login, "ranges": ranges})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=folder))
    server.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        scheme = "https" if certificate else "http"
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """Accept connections and never answer; yields the port."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def answering_server(answer: Callable[[bytes], bytes], *, hold: bool = False) -> Iterator[int]:
    """Send these bytes for each request and close the connection, or with `hold` keep it open; yields the port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(answer(_read_request(self.request)))
            while hold and not ended.is_set():
                time.sleep(0.05)

    ended = threading.Event()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            ended.set()
            server.shutdown()
            thread.join()


def _read_request(connection: socket.socket) -> bytes:
    """Read one request with its body. Closing a connection with unread data would reset it."""
    request = b""
    while piece := connection.recv(1 << 16):
        request += piece
        head, end, content = request.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if end and len(content) >= int(length[1] if length else 0):
            break
    return request


def free_port() -> int:
    """A free port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def certificate(folder: Path) -> Path:
    """Write a self-signed certificate for 127.0.0.1 and its key to one PEM file in `folder`."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    path.chmod(0o600)
    return path
