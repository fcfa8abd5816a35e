"""Servers that are unreachable, silent, broken or deny access: errors come soon and contain no secret."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from colabenv.errors import NotInStoreError, StoreError
from colabenv.store.backends.base import StoreBackend
from colabenv.store.backends.gcs import find_token_source
from colabenv.store.open import open_store
from support.store.drive import fuse_unavailable_reason, mount_drive
from support.store.servers import (
    S3_KEYS,
    Served,
    answering_server,
    certificate,
    free_port,
    s3_client,
    silent_server,
    web_server,
)

SECRETS = ("hunter2-secret", *S3_KEYS.values(), "session-token-secret")
KINDS = ("https", "gs", "s3")


def open_kind(kind: str, port: int, host: str = "127.0.0.1") -> StoreBackend:
    """Open a store of this kind on a port, with secrets."""
    if kind == "https":
        url = "http://teacher:${PASSWORD}@" + f"{host}:{port}/store"
        return open_store(url, {"PASSWORD": "hunter2-secret"})
    if kind == "gs":
        return open_store("gs://bucket/x", {"STORAGE_EMULATOR_HOST": f"http://{host}:{port}"})
    endpoint = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_SESSION_TOKEN": "session-token-secret"}
    return open_store("s3://bucket/x", {**S3_KEYS, **endpoint})


#: Seconds. Generous for a busy machine; a client without a timeout would wait for minutes.
LIMIT = 60


@contextmanager
def raises_store_error(match: str) -> Iterator[None]:
    """Assert that the block soon raises a matching `StoreError` that contains no secret."""
    started = time.monotonic()
    with pytest.raises(StoreError, match=match) as caught:
        yield
    assert time.monotonic() - started < LIMIT
    error = caught.value
    assert error.hint or isinstance(error, NotInStoreError)
    shown = "".join(traceback.format_exception(error)) + str(error.as_dict()) + repr(error)
    assert not [secret for secret in SECRETS if secret in shown]
    assert "Traceback" not in error.message + error.hint


@pytest.mark.parametrize("kind", KINDS)
def test_closed_port_is_unreachable(kind: str) -> None:
    store = open_kind(kind, free_port())
    with raises_store_error("could not be reached"):
        store.read("x", 0, 10)
    if kind != "https":
        with raises_store_error("could not be reached"):
            store.entries("layers/")
        with raises_store_error("could not be reached"):
            store.write("x", b"x")


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_host_is_unreachable(kind: str) -> None:
    with raises_store_error("could not be reached"):
        open_kind(kind, 80, "no-such-host.invalid").read("x")


TRUNCATED = (
    b"HTTP/1.1 206 Partial\r\nContent-Length: 1000\r\nContent-Range: bytes 0-999/2000\r\n"
    b'ETag: "x"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\nhalf'
)


@pytest.mark.slow
def test_silent_servers_time_out(caplog: pytest.LogCaptureFixture) -> None:
    """A server that never responds, and one that stops halfway; all kinds at once, since each takes 4 s."""

    def read(kind: str, port: int) -> None:
        with raises_store_error("stopped answering"):
            open_kind(kind, port).read("x", 0, 1000)

    def write(kind: str, port: int) -> None:
        with raises_store_error("stopped answering"):
            open_kind(kind, port).write("x", b"x")

    with (
        caplog.at_level(logging.DEBUG),
        silent_server() as silent,
        answering_server(lambda _: TRUNCATED, hold=True) as hanging,
        ThreadPoolExecutor(8) as pool,
    ):
        futures = [pool.submit(read, kind, port) for kind in KINDS for port in (silent, hanging)]
        futures.append(pool.submit(write, "s3", silent))
        for future in futures:
            future.result()
    assert not [secret for secret in SECRETS if secret in caplog.text]


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_response_is_an_error(kind: str) -> None:
    with answering_server(lambda _: TRUNCATED) as port, raises_store_error("stopped answering"):
        open_kind(kind, port).read("x", 0, 1000)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", ["500 Oops", "503 Busy", "302 Found", "418 Teapot"])
def test_other_http_statuses_are_errors(kind: str, status: str) -> None:
    answer = f"HTTP/1.1 {status}\r\nContent-Length: 14\r\nConnection: close\r\n\r\nhunter2-secret".encode()
    with (
        answering_server(lambda _: answer) as port,
        raises_store_error("answered with HTTP status|invalid answer"),
    ):
        open_kind(kind, port).read("x", 0, 10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n"])
def test_response_that_is_not_http_is_an_error(kind: str, answer: bytes) -> None:
    with answering_server(lambda _: answer) as port, raises_store_error("Could not read x from the store"):
        open_kind(kind, port).read("x", 0, 10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_denied_access_is_reported(kind: str, status: str) -> None:
    answer = f"HTTP/1.1 {status}\r\nContent-Length: 14\r\nConnection: close\r\n\r\nhunter2-secret".encode()
    with answering_server(lambda _: answer) as port:
        store = open_kind(kind, port)
        with raises_store_error("access was denied"):
            store.read("x", 0, 10)
        if kind != "https":
            with raises_store_error("access was denied"):
                store.write("x", b"x")
            with raises_store_error("access was denied"):
                store.entries()


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_range_is_an_error(kind: str) -> None:
    answer = b"HTTP/1.1 206 Partial\r\nContent-Length: 4\r\nContent-Range: bytes 7-10/2000\r\n"
    answer += b'ETag: "x"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\nConnection: close\r\n\r\nhalf'
    with answering_server(lambda _: answer) as port, raises_store_error("invalid answer"):
        open_kind(kind, port).read("x", 0, 4)


def test_urls_contain_no_secret() -> None:
    for kind in KINDS:
        store = open_kind(kind, 80)
        assert not [secret for secret in SECRETS if secret in store.url + repr(store)]


@pytest.mark.parametrize("kind", ["gs", "s3"])
def test_missing_bucket_is_reported(kind: str, gcs: Served, s3: Served, tmp_path: Path) -> None:
    served = gcs if kind == "gs" else s3
    store = open_store(f"{kind}://nosuchbucket/x", served.environ)
    with raises_store_error("no such bucket"):
        store.write("x", b"x")
    with raises_store_error("no such bucket"):
        store.entries()


def test_google_listings_have_several_pages() -> None:
    def page(request: bytes) -> bytes:
        first = b"pageToken=next" not in request
        name, token = (b"a", b', "nextPageToken": "next"') if first else (b"b", b"")
        item = b'{"name": "x/' + name + b'", "size": "7", "updated": "2026-01-02T03:04:05.678Z"}'
        content = b'{"items": [' + item + b"]" + token + b"}"
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (
            len(content),
            content,
        )

    with answering_server(page) as port:
        entries = open_kind("gs", port).entries()
    assert [(stored.name, stored.bytes, stored.modified) for stored in entries] == [
        ("a", 7, 1767323045.0),
        ("b", 7, 1767323045.0),
    ]


@pytest.mark.parametrize(
    "content", [b"[]", b"{", b'{"items": [{"name": "x/a"}]}', b'{"items": [7]}', b"\xff"]
)
def test_invalid_google_listing_is_an_error(content: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)
    with answering_server(lambda _: answer) as port, raises_store_error("invalid answer"):
        open_kind("gs", port).entries()


@pytest.mark.slow
def test_failed_upload_leaves_no_parts(s3: Served, tmp_path: Path) -> None:
    if fuse_unavailable_reason():
        pytest.skip(f"cannot mount a folder whose files fail: {fuse_unavailable_reason()}")
    store = open_store(f"{s3.url}/failed", s3.environ)
    for name in ("behind", "point"):
        (tmp_path / name).mkdir()
    with (tmp_path / "behind" / "file").open("wb") as file:
        file.truncate(400 << 20)
    with mount_drive(tmp_path / "behind", tmp_path / "point") as process:
        threading.Timer(1, process.kill).start()
        with pytest.raises((StoreError, OSError)):
            store.upload("x", tmp_path / "point" / "file")
    client = s3_client(s3.environ)
    assert client.list_multipart_uploads(Bucket="store").get("Uploads", []) == []
    assert store.entries() == []


def test_public_buckets_need_no_keys(s3: Served) -> None:
    s3_client(s3.environ).put_object(Bucket="store", Key="public/x", Body=b"open", ACL="public-read")
    store = open_store(f"{s3.url}/public", {"AWS_ENDPOINT_URL": s3.environ["AWS_ENDPOINT_URL"]})
    assert store.read("x") == b"open"
    assert not store.writable


def test_keys_are_read_from_amazons_files(s3: Served, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    keys = "".join(f"{name.lower()} = {value}\n" for name, value in S3_KEYS.items())
    (tmp_path / ".aws" / "credentials").write_text(f"[course]\n{keys}")
    (tmp_path / ".aws" / "config").write_text(
        f"[profile course]\nregion = eu-central-1\nendpoint_url = {s3.environ['AWS_ENDPOINT_URL']}\n"
    )
    store = open_store(f"{s3.url}/files", {"HOME": str(tmp_path), "AWS_PROFILE": "course"})
    store.write("x", b"from files")
    assert store.writable
    assert store.read("x") == b"from files"


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A folder for a web server, with a store."""
    folder = tmp_path / "www" / "my store"
    folder.mkdir(parents=True)
    (folder / "a b#?%.json").write_bytes(b"0123456789")
    return folder.parent


@pytest.mark.parametrize("ranges", [True, False])
def test_web_server_is_read_only(pages: Path, ranges: bool) -> None:
    with web_server(pages, ranges=ranges) as address:
        store = open_store(f"{address}/my%20store/", {})
        assert not store.writable
        assert store.read("a b#?%.json") == b"0123456789"
        assert store.read("a b#?%.json", 2, 3) == b"234"
        assert store.read("a b#?%.json", 8, 30) == b"89"
        assert store.read("a b#?%.json", 30, 3) == b""
        assert store.read("a b#?%.json", 30) == b""
        with raises_store_error("no such object"):
            store.read("none", 3, 4)
        calls: tuple[Callable[[], object], ...] = (
            store.entries,
            lambda: store.write("x", b"x"),
            lambda: store.upload("x", pages / "x"),
            lambda: store.delete("x"),
        )
        for call in calls:
            with raises_store_error("is a web server"):
                call()


@pytest.mark.parametrize(
    "head",
    [
        b"200 OK\r\n\r\nhello",
        b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"206 Partial Content\r\nContent-Length: 5\r\nContent-Range: bytes 0-4/*\r\n\r\nhello",
    ],
    ids=["no length", "chunked", "range of unknown total"],
)
def test_web_servers_that_send_no_size(head: bytes) -> None:
    with answering_server(lambda _: b"HTTP/1.1 " + head) as port:
        assert open_kind("https", port).read("x", 0, 5) == b"hello"


def test_web_passwords_come_from_the_url_or_netrc(pages: Path, tmp_path: Path) -> None:
    with web_server(pages, login="teacher:hunter2-secret") as address:
        host = address.removeprefix("http://")
        with raises_store_error("access was denied"):
            open_store(f"{address}/my%20store", {}).read("a b#?%.json")
        login = {"LOGIN": "teacher:hunter2-secret"}
        assert open_store(f"http://${{LOGIN}}@{host}/my%20store", login).read("a b#?%.json", 0, 1) == b"0"
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login teacher password hunter2-secret\n")
        (tmp_path / ".netrc").chmod(0o600)
        home = {"HOME": str(tmp_path)}
        assert open_store(f"{address}/my%20store", home).read("a b#?%.json", 0, 1) == b"0"


def test_ssl_cert_file_is_trusted(pages: Path, tmp_path: Path) -> None:
    file = certificate(tmp_path)
    with web_server(pages, certificate=file) as address:
        with raises_store_error("does not trust its certificate"):
            open_store(f"{address}/my%20store", {}).read("a b#?%.json")
        environ = {"SSL_CERT_FILE": str(file)}
        assert open_store(f"{address}/my%20store", environ).read("a b#?%.json", 1, 1) == b"1"


def test_requests_use_the_proxy(pages: Path) -> None:
    def proxied(request: bytes) -> bytes:
        line = request.split(b"\r\n")[0]
        content = b"by proxy" if line == b"GET http://store.invalid/x HTTP/1.1" else line
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (
            len(content),
            content,
        )

    with answering_server(proxied) as port:
        store = open_store("http://store.invalid", {"http_proxy": f"http://127.0.0.1:{port}"})
        assert store.read("x") == b"by proxy"


def test_refused_google_credentials_are_reported(tmp_path: Path) -> None:
    answer = b'HTTP/1.1 400 Bad\r\nConnection: close\r\nContent-Length: 26\r\n\r\n{"error": "invalid_grant"}'
    with answering_server(lambda _: answer) as port:
        file = tmp_path / "adc.json"
        file.write_text(service_account(port))
        store = open_store("gs://bucket/x", {"GOOGLE_APPLICATION_CREDENTIALS": str(file)})
        assert store.writable
        with raises_store_error("access was denied"):
            store.read("x")


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"type": "authorized_user"}', '{"type": "strange"}'])
def test_invalid_google_credentials_are_reported(tmp_path: Path, content: str) -> None:
    (tmp_path / "adc.json").write_text(content)
    store = open_store("gs://bucket/x", {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "adc.json")})
    with raises_store_error("access was denied"):
        store.read("x")


@pytest.mark.parametrize(
    ("url", "missing", "extra"), [("s3://b1b/x", "obstore", "s3"), ("gs://b1b/x", "google", "gcs")]
)
def test_missing_library_error_names_the_extra(url: str, missing: str, extra: str, tmp_path: Path) -> None:
    # A module that cannot be imported hides the installed one.
    (tmp_path / f"{missing}.py").write_text("raise ImportError\n")
    (tmp_path / "adc.json").write_text("{}")
    code = (
        "from colabenv.errors import StoreError; from colabenv.store.open import open_store\n"
        f"try: open_store({url!r}, {{'GOOGLE_APPLICATION_CREDENTIALS': 'adc.json'}})\n"
        "except StoreError as error: print(error.hint)"
    )
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    completed = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    assert f"in a cell %pip install 'colabenv[{extra}]'" in completed.stdout


TOKEN = b'{"access_token": "token-of-the-day", "expires_in": 3600, "token_type": "Bearer"}'
ACCOUNT = b'{"default": {"email": "a@b", "scopes": [], "aliases": []}, "email": "a@b", "scopes": []}'


def service_account(port: int) -> str:
    """A service account's file with a token server on this port; user accounts always use Google's own server."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    content = {"type": "service_account", "client_email": "hunter2-secret", "private_key": key.decode()}
    return json.dumps({**content, "token_uri": f"http://127.0.0.1:{port}/token"})


def test_google_tokens_are_cached(tmp_path: Path) -> None:
    requests: list[bytes] = []

    def answer(request: bytes) -> bytes:
        requests.append(request)
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(TOKEN), TOKEN)

    with answering_server(answer) as port:
        (tmp_path / "application_default_credentials.json").write_text(service_account(port))
        tokens = find_token_source({"CLOUDSDK_CONFIG": str(tmp_path)})
        assert tokens is not None
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda _: tokens(), range(16))) == {"token-of-the-day"}
    assert len(requests) == 1


@pytest.mark.parametrize("has_account", [True, False], ids=["account", "no account"])
def test_metadata_server_of_google_gives_a_token(has_account: bool) -> None:
    # google-auth reads the metadata server's address from its process's environment, so this needs a new process.
    def answer(request: bytes) -> bytes:
        path = request.split(b" ")[1]
        content = TOKEN if b"/token" in path else ACCOUNT
        status = b"200 OK" if has_account or path == b"/" else b"404 Not Found"
        head = b"HTTP/1.1 " + status + b"\r\nMetadata-Flavor: Google\r\nContent-Type: application/json\r\n"
        return head + b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)

    code = (
        "import os; from colabenv.store.backends.gcs import find_token_source; "
        "print('token:', find_token_source(os.environ)())"
    )
    with answering_server(answer) as port:
        metadata = dict.fromkeys(("GCE_METADATA_HOST", "GCE_METADATA_IP"), f"127.0.0.1:{port}")
        started = time.monotonic()
        completed = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **metadata},
            capture_output=True,
            text=True,
            check=True,
        )
    assert time.monotonic() - started < LIMIT
    assert completed.stdout.strip() == ("token: token-of-the-day" if has_account else "token:")
