"""`store push` and `store gc` on a folder and on real servers, also killed and from several machines at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from colabenv.commands.context import Context
from colabenv.commands.store import store_gc, store_ls, store_push
from colabenv.errors import StoreError
from colabenv.store.backends.base import StoreBackend
from colabenv.store.gc import collect_garbage, read_contents
from colabenv.store.inventory import LAYERS, PUSHING
from colabenv.store.open import open_store
from support.pushing import (
    assert_consistent,
    fake_wheel_hash,
    layer_names,
    make_request,
    push_quietly,
    read_manifests,
)
from support.store.servers import S3_KEYS, Served, free_port
from support.store_machine import StoreMachine
from support.timeouts import TIMEOUT

PYTHON = "cpython-3.11.9-linux-x86_64-gnu"
TESTS = Path(__file__).parents[2]
#: Another machine: it pushes the environment of a folder and may be killed before a call to the store.
MACHINE = """
import json, os, signal, sys
from pathlib import Path
from colabenv.store.open import open_store
from support.pushing import InterruptedStore, make_request, push_quietly
folder, url, number, profile, *names = sys.argv[1:]
remote = open_store(url, os.environ)
if int(number) >= 0:
    remote = InterruptedStore(remote, int(number), lambda: os.kill(os.getpid(), signal.SIGKILL))
report = push_quietly(remote, make_request(Path(folder), *names, profile=profile))
print(json.dumps([len(report.manifest.layers), len(report.sent)]))
"""


@pytest.fixture(params=["folder", "s3", "gs"])
def location(request: pytest.FixtureRequest, tmp_path: Path, s3: Served, gcs: Served) -> Iterator[Served]:
    """An empty store of each kind."""
    if request.param == "folder":
        yield Served(str(tmp_path / "store"), {})
        return
    server = s3 if request.param == "s3" else gcs
    yield replace(server, url=f"{server.url}/{tmp_path.name}")


@pytest.fixture
def remote(location: Served) -> StoreBackend:
    return open_store(location.url, location.environ)


def start_push(
    location: Served, folder: Path, *names: str, profile: str = "demo", number: int = -1
) -> subprocess.Popen[str]:
    """Start a push on another machine."""
    argv = [sys.executable, "-c", MACHINE, str(folder), location.url, str(number), profile, *names]
    environ = {**os.environ, **location.environ, "PYTHONPATH": str(TESTS)}
    return subprocess.Popen(
        argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def test_push_and_contents(remote: StoreBackend, tmp_path: Path) -> None:
    push_quietly(remote, make_request(tmp_path, "six", "attrs", python=PYTHON))
    other = make_request(tmp_path, "six", "idna", python=PYTHON, profile="other")
    assert [layer.name for layer in push_quietly(remote, other).sent] == ["idna"]
    assert push_quietly(remote, other).sent == ()
    assert_consistent(remote)
    contents = read_contents(remote)
    assert {stored.manifest.profile for stored in contents.environments} == {"demo", "other"}
    assert (contents.layers, contents.loose, remote.entries(PUSHING)) == (4, 0, [])
    assert all(0 < stored.shared < stored.bytes for stored in contents.environments)
    assert all(abs(stored.used - time.time()) < 120 for stored in contents.environments)


def test_gc_keeps_recent_objects(remote: StoreBackend, tmp_path: Path) -> None:
    push_quietly(remote, make_request(tmp_path, "six", "attrs", python=PYTHON))
    before = {stored.name for stored in remote.entries()}
    assert collect_garbage(remote, 1) == ()
    assert {stored.name for stored in remote.entries()} == before
    time.sleep(1.1)  # S3 reports times in seconds
    removed = collect_garbage(remote, 0)
    assert sorted(entry.name.split("/")[0] for entry in removed) == ["manifests", "pythons"]
    assert len(layer_names(remote)) == 3


def test_machines_push_concurrently(location: Served, remote: StoreBackend, tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(3)]
    machines = [
        start_push(location, folders[0], "six", "attrs"),
        start_push(location, folders[1], "six", "attrs"),
        start_push(location, folders[2], "six", "idna", profile="other"),
    ]
    for process in machines:
        out, err = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 0, err
        assert json.loads(out)[0] == 2
    assert_consistent(remote)
    assert {manifest.profile for manifest in read_manifests(remote)} == {"demo", "other"}
    assert remote.entries(PUSHING) == []


def test_threads_push_concurrently(remote: StoreBackend, tmp_path: Path) -> None:
    requests = [
        make_request(tmp_path, "six", "attrs", f"package{number}", profile=f"profile{number}")
        for number in range(4)
    ]
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda request: push_quietly(remote, request), requests))
    assert all(report.manifest.layers for report in reports)
    assert_consistent(remote)
    assert len(read_manifests(remote)) == 4
    assert len(layer_names(remote)) == 6


def test_killed_push_leaves_a_consistent_store(
    location: Served, remote: StoreBackend, tmp_path: Path
) -> None:
    for number in (1, 4, 6, 8, 10) if location.url.startswith("/") else (6,):
        process = start_push(location, tmp_path, "six", "attrs", f"package{number}", number=number)
        process.communicate(timeout=TIMEOUT)
        assert process.returncode == -signal.SIGKILL
        assert_consistent(remote)
        assert len(remote.entries(PUSHING)) > 0
        report = push_quietly(remote, make_request(tmp_path, "six", "attrs", f"package{number}"))
        assert len(report.manifest.layers) == 3
        assert_consistent(remote)


def test_gc_removes_old_objects_of_a_folder(tmp_path: Path) -> None:
    remote = open_store(str(tmp_path / "store"), {})
    push_quietly(remote, make_request(tmp_path, "six", "attrs", python=PYTHON))
    for path in (tmp_path / "store").rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - 40 * 86_400,) * 2)
    push_quietly(remote, make_request(tmp_path, "six", "idna", profile="other"))
    removed = [entry.name for entry in collect_garbage(remote, 30)]
    # The Python stays: environments with this tag still use it.
    assert [fake_wheel_hash("attrs") in name for name in removed if name.startswith(LAYERS)] == [True]
    assert_consistent(remote)
    assert [manifest.profile for manifest in read_manifests(remote)] == ["other"]


def test_commands_on_a_bucket_show_no_credentials(s3: Served, tmp_path: Path) -> None:
    machine = StoreMachine(tmp_path)
    machine.build("demo", "six", "attrs")
    context = Context({**machine.environ, **s3.environ, "COLABENV_STORE": f"{s3.url}/{tmp_path.name}"})
    pushed = store_push(context, "", store="")
    assert (pushed.packages, pushed.sent) == (2, 2)
    assert store_push(context, "", store="").sent == 0
    listing = store_ls(context, store="")
    assert [row.name for row in listing.environments] == ["demo"]
    assert store_gc(context, store="", keep_days=30, dry_run=False).removed == ()
    unreachable = Context({**context.environ, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(StoreError) as caught:
        store_push(unreachable, "demo", store="")
    no_bucket = Context({**context.environ, "COLABENV_STORE": "s3://no-such-bucket/x"})
    with pytest.raises(StoreError):
        store_push(no_bucket, "demo", store="")
    shown = [pushed.as_dict(), pushed.lines(), listing.as_dict(), caught.value.as_dict(), context.notes()]
    logs = [path.read_text() for path in tmp_path.rglob("*.log")]
    remote = open_store(f"{s3.url}/{tmp_path.name}", s3.environ)
    stored = [remote.read(entry.name) for entry in remote.entries() if not entry.name.startswith(LAYERS)]
    text = json.dumps(shown) + "".join(logs) + b"".join(stored).decode()
    assert str(tmp_path) not in b"".join(stored).decode()
    for secret in S3_KEYS.values():
        assert secret not in text
