"""`up` with a store: a restore equals an installation, and a damaged or hostile store does no harm."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from colabenv.store.manifest import Chunk, Layer, dump_manifest, parse_manifest
from support.index_server import Index
from support.memory_store import make_layer, make_raw_chunk
from support.mounts import small_disk
from support.packages import wheel
from support.throttle import Throttle, serve_throttled
from support.user_machine import TINY, UserMachine

#: Files that differ between two builds of the same environment.
DIFFERENT = ("stamp.json", ".lock", "colabenv/", "bin/uv", "bin/uvx")
#: Compares the files of an environment with the RECORDs and prints their number.
CHECK_RECORDS = """
import base64, hashlib, importlib.metadata as metadata, pathlib, sys
count = 0
for distribution in metadata.distributions():
    for file in distribution.files:
        if file.hash:
            data = pathlib.Path(file.locate()).read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.new(file.hash.mode, data).digest()).rstrip(b"=").decode()
            assert digest == file.hash.value and len(data) == file.size, file
            count += 1
        elif not str(file).endswith((".pyc", "RECORD")):
            raise AssertionError(f"{file} has no hash")
print(count)
"""


def list_files(prefix: Path) -> dict[str, tuple[object, ...]]:
    """The links, folders and files of an environment, with the mode and hash of each file."""
    files: dict[str, tuple[object, ...]] = {}
    for path in sorted(prefix.rglob("*")):
        name = str(path.relative_to(prefix))
        if name.startswith(DIFFERENT) or "/lib64/" in f"/{name}":
            continue
        if path.is_symlink():
            files[name] = ("link", str(path.readlink()))
        elif path.is_file():
            files[name] = (oct(path.stat().st_mode), hashlib.sha256(path.read_bytes()).hexdigest())
        else:
            files[name] = ("folder",)
    return files


def check_records(prefix: Path) -> int:
    """Have the environment's Python compare its files with the RECORDs, and return their number."""
    argv = [str(prefix / "bin" / "python"), "-I", "-c", CHECK_RECORDS]
    completed = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    return int(completed.stdout)


def count_restored(output: str) -> tuple[int, int]:
    """The number of restored packages and of all packages, from the output of `up`."""
    words = next(line for line in output.splitlines() if line.startswith("  store   restored")).split()
    return int(words[2]), int(words[4])


def without_bytecode(files: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    """The files that are not bytecode."""
    return {name: file for name, file in files.items() if not name.endswith((".pyc", "__pycache__"))}


def parse_result(output: str) -> dict[str, Any]:
    """The JSON result at the end of the output of `up --json`."""
    result: dict[str, Any] = json.loads(output[output.index("\n{") + 1 :])
    return result


def test_restore_equals_an_installation_and_needs_no_index(machine: UserMachine, index: Index) -> None:
    machine.up().expect(0)
    (prefix,) = machine.environments()
    installed = list_files(prefix)
    machine.run("store", "push", "tiny", "--store", str(machine.root / "shared")).expect(0)
    machine.run("down", "tiny").expect(0)
    index.stop()
    machine.environ["UV_CACHE_DIR"] = str(machine.root / "empty-cache")

    output = machine.up("--frozen", "--store", str(machine.root / "shared"), "--json").expect(0).text
    result = parse_result(output)
    assert machine.environments() == [prefix]
    assert len(result["store"]["restored"]) == result["store"]["packages"] == result["packages"]
    assert result["store"]["bytes"] > 1_000_000
    assert result["action"] == "built"

    restored = list_files(prefix)
    assert without_bytecode(restored) == without_bytecode(installed)
    assert len([name for name in restored if name.endswith(".pyc")]) > 200
    assert check_records(prefix) > 1000
    # The restored bytecode is up to date, so Python does not write it again.
    before = {path: path.stat().st_mtime_ns for path in prefix.rglob("*.pyc")}
    code = "import IPython, ipykernel, jupyter_client, tiny, zmq"
    subprocess.run([prefix / "bin" / "python", "-I", "-c", code], check=True)
    assert {path: path.stat().st_mtime_ns for path in prefix.rglob("*.pyc")} == before
    subprocess.run([prefix / "bin" / "python", "-I", "-m", "pip", "check"], check=True, capture_output=True)
    script = subprocess.run([prefix / "bin" / "ipython", "--version"], capture_output=True, check=True)
    assert script.stdout.strip()
    machine.assert_kernel_works()


def forge(layer: Layer, rows: list[list[object]], data: bytes) -> tuple[Layer, bytes]:
    """Return a layer for the same wheel with other content."""
    return make_layer(layer.name, layer.version, layer.wheel, [make_raw_chunk(rows, data)], len(rows))


def flip_bit(path: Path, layer: Layer) -> Layer:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return layer


def truncate(path: Path, layer: Layer) -> Layer:
    path.write_bytes(path.read_bytes()[:-9])
    return layer


def remove(path: Path, layer: Layer) -> Layer:
    path.unlink()
    return layer


def replace_layer(path: Path, forged: tuple[Layer, bytes], tag: str) -> Layer:
    """Write a forged layer to the store of the layer in `path`."""
    layer, data = forged
    (path.parents[2] / layer.object_name(tag)).write_bytes(data)
    return layer


def escape_by_name(path: Path, layer: Layer) -> Layer:
    name = "../../../../../../../escaped.txt"
    return replace_layer(path, forge(layer, [[name, "f", 0o644, 1, 4, 0, 4]], b"evil"), path.parent.name)


def add_link(path: Path, layer: Layer) -> Layer:
    name = "lib/python3.11/site-packages/out"
    return replace_layer(path, forge(layer, [[name, "l", 0o777, 1, 4, 0, 4]], b"/etc"), path.parent.name)


def add_device(path: Path, layer: Layer) -> Layer:
    return replace_layer(path, forge(layer, [["bin/null", "c", 0o666, 1, 0, 0, 0]], b""), path.parent.name)


def replace_python(path: Path, layer: Layer) -> Layer:
    return replace_layer(
        path, forge(layer, [["bin/python", "f", 0o755, 1, 4, 0, 4]], b"evil"), path.parent.name
    )


def claim_small_size(path: Path, layer: Layer) -> Layer:
    data = zstandard.compress(bytes(300 << 20))
    chunk = Chunk(len(data), 1000, hashlib.sha256(data).hexdigest())
    return replace_layer(path, (replace(layer, chunks=(chunk,), files=1), data), path.parent.name)


#: Package to the function that damages its layer.
HOSTILE: dict[str, Callable[[Path, Layer], Layer]] = {
    "tornado": flip_bit,
    "jedi": truncate,
    "pyzmq": remove,
    "traitlets": escape_by_name,
    "psutil": add_link,
    "packaging": add_device,
    "parso": replace_python,
    "tiny": claim_small_size,
}


def make_hostile(store: Path) -> None:
    """Replace layers with hostile ones of each kind, and update the manifest where possible."""
    (file,) = store.glob("manifests/*/*.json")
    manifest = parse_manifest(file.read_bytes(), file.name)

    def change(layer: Layer) -> Layer:
        damage = HOSTILE.get(layer.name)
        return damage(store / layer.object_name(manifest.tag), layer) if damage else layer

    assert set(HOSTILE) <= {layer.name for layer in manifest.layers}
    file.write_bytes(dump_manifest(replace(manifest, layers=tuple(map(change, manifest.layers)))))


def test_cached_wheels_are_not_downloaded(machine: UserMachine, store: Path, shared_uv_cache: Path) -> None:
    machine.environ["UV_CACHE_DIR"] = str(shared_uv_cache)
    output = machine.up("--frozen", "--store", str(store)).expect(0).text
    assert "This machine has all wheels already, so the store was not needed." in output
    (prefix,) = machine.environments()
    assert not list(prefix.parent.glob(".restoring*"))
    # If the cache does not have the wheels, the store is used.
    machine.run("down", "tiny").expect(0)
    machine.environ["UV_CACHE_DIR"] = str(machine.root / "empty-cache")
    count, packages = count_restored(machine.up("--frozen", "--store", str(store)).expect(0).text)
    assert count == packages


def test_hostile_layers_are_ignored(machine: UserMachine, store: Path) -> None:
    make_hostile(store)
    output = machine.up("--frozen", "--store", str(store)).expect(0).text
    assert f"Installing {len(HOSTILE)} packages from the index instead" in output
    count, packages = count_restored(output)
    assert count == packages - len(HOSTILE)
    (prefix,) = machine.environments()
    assert check_records(prefix) > 1000
    machine.assert_kernel_works()
    assert not list(Path("/").glob("escaped.txt"))
    assert not list(machine.root.rglob("escaped.txt"))


@pytest.mark.wheels
def test_hostile_layers_without_an_index(machine: UserMachine, index: Index, store: Path) -> None:
    make_hostile(store)
    # Nothing can be installed without an index, and no partial environment is left.
    index.stop()
    output = machine.up("--frozen", "--store", str(store)).expect(3).text
    assert f"Installing {len(HOSTILE)} packages from the index instead" in output
    assert machine.environments() == []
    assert machine.kernels() == []


@pytest.mark.wheels
def test_invalid_manifests_are_ignored(machine: UserMachine, store: Path) -> None:
    (file,) = store.glob("manifests/*/*.json")
    other = replace(parse_manifest(file.read_bytes(), file.name), lock="f" * 64)
    for data in (dump_manifest(other), file.read_bytes()[:-30], b"{}"):
        file.write_bytes(data)
        output = machine.up("--dry-run", "--frozen", "--store", str(store)).expect(0).text
        assert f"has 0 of {len(other.layers)} packages" in output
    output = machine.up("--frozen", "--store", str(store)).expect(0).text
    assert "nothing came from" in output
    assert f"{file.name} in the store cannot be used" in output
    machine.assert_kernel_works()


def test_new_profile_restores_shared_packages(machine: UserMachine, index: Index, store: Path) -> None:
    index.add(*wheel("extra", "2.0"))
    machine.profile.write_text(TINY.replace("packages: [tiny]", "packages: [tiny, extra]"))
    index.requests.clear()
    output = machine.up("--store", str(store)).expect(0).text
    count, packages = count_restored(output)
    assert count == packages - 1
    assert [request for request in index.requests if request.endswith(".whl")] == [
        "GET /files/extra-2.0-py3-none-any.whl"
    ]
    machine.assert_kernel_works()
    assert machine.cell("import extra; print(extra.VERSION)") == "2.0"
    # Nothing has changed, so `up` does not open the store.
    shutil.rmtree(store)
    assert "nothing has changed" in machine.up("--store", str(store)).expect(0).text


def test_dry_run_reports_the_store_without_downloading(machine: UserMachine, store: Path) -> None:
    shutil.rmtree(store / "layers")
    output = machine.up("--dry-run", "--frozen", COLABENV_STORE=str(store)).expect(0).text
    (line,) = (line for line in output.splitlines() if line.startswith("The store"))
    (manifest,) = store.glob("manifests/*/*.json")
    count = len(parse_manifest(manifest.read_bytes(), "").layers)
    assert line.startswith(f"The store {store} has {count} of {count} packages (")
    assert machine.environments() == []
    missing = machine.up("--dry-run", "--frozen", "--store", str(store / "nowhere")).expect(0).text
    assert f"has 0 of {count} packages" in missing


@pytest.mark.wheels
@pytest.mark.usefixtures("store")  # for the lock and the empty cache
def test_unavailable_store_is_skipped(machine: UserMachine) -> None:
    output = machine.up("--frozen", "--store", "http://127.0.0.1:9/team").expect(0).text
    assert "The store was not used" in output
    machine.assert_kernel_works()


@pytest.mark.wheels
def test_silent_store_is_skipped(machine: UserMachine, store: Path) -> None:
    with serve_throttled(store, Throttle(silent="manifests")) as url:
        output, seconds = timed_up(machine, url)
    assert "The store was not used" in output
    # The store has 5 s to respond; the rest is for a busy machine.
    assert seconds < 15
    machine.assert_kernel_works()


@pytest.mark.wheels
def test_slow_store_is_abandoned(machine: UserMachine, index: Index, store: Path) -> None:
    with serve_throttled(store, Throttle(rate=400_000)) as url:
        output, seconds = timed_up(machine, url)
        assert "from the index instead of the store" in output
        assert seconds < 15
        (prefix,) = machine.environments()
        assert check_records(prefix) > 1000
        machine.assert_kernel_works()
        # Without an index, `up` waits for the store.
        machine.run("down", "tiny").expect(0)
        index.stop()
        machine.environ["UV_CACHE_DIR"] = str(machine.root / "another-cache")
    with serve_throttled(store, Throttle(rate=1_500_000)) as url:
        output, _ = timed_up(machine, url)
    count, packages = count_restored(output)
    assert count == packages
    machine.assert_kernel_works()


def timed_up(machine: UserMachine, url: str) -> tuple[str, float]:
    """Run `up`; return its output with the message about the store, and the seconds of the installation."""
    output = machine.up("--frozen", "--store", url, "--json").expect(0).text
    result = parse_result(output)
    return f"{output}\n  store   {result['store'].get('said', '')}", result["seconds"]["install"]


@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.wheels)],
    ids=["killed", "interrupted"],
)
def test_interrupted_restore_leaves_nothing_in_use(
    machine: UserMachine, store: Path, number: signal.Signals
) -> None:
    throttle = Throttle(most=4_000_000)
    with serve_throttled(store, throttle) as url:
        up = machine.start_up("--frozen", "--store", url)
        up.wait_until(
            lambda: (
                throttle.sent > 3_000_000 and list(machine.colabenv_home.glob("envs/tiny/.restoring-*/*"))
            ),
            "the first layers",
        )
        up.send(number)
        result = up.wait()
    machine.assert_no_processes()
    assert machine.kernels() == []
    partial = [path.name for path in machine.environments() if path.name.startswith(".restoring-")]
    if number == signal.SIGINT:
        assert result.code == 130
        assert machine.environments() == []
        return
    # The partial environment is not used; `gc` and the next `up` both remove it.
    assert partial
    assert "left by an interrupted restore" in machine.run("gc", "--dry-run").expect(0).text
    machine.up("--frozen", "--store", str(store)).expect(0)
    assert len(machine.environments()) == 1
    machine.assert_kernel_works()


@pytest.mark.wheels
def test_full_disk_ends_the_restore(machine: UserMachine, store: Path) -> None:
    throttle = Throttle(most=4_000_000)
    with small_disk(machine.colabenv_home, 400) as disk, serve_throttled(store, throttle) as url:
        up = machine.start_up("--frozen", "--store", url)
        up.wait_until(lambda: throttle.sent > throttle.most, "the first layers")
        up.wait_until(lambda: list(machine.colabenv_home.glob("envs/tiny/.restoring-*/*")), "the first files")
        disk.fill(leave=2_000_000)
        throttle.most = 1 << 40
        assert "disk" in up.wait().expect(3).text
        assert machine.environments() == []
        disk.resize(1200)
        machine.up("--frozen", "--store", url).expect(0)
        machine.assert_kernel_works()


@pytest.mark.wheels
def test_pip_restores_from_a_store(machine: UserMachine, store: Path) -> None:
    output = machine.up("--frozen", "--store", str(store), COLABENV_INSTALLER="pip").expect(0).text
    count, packages = count_restored(output)
    assert count == packages
    (prefix,) = machine.environments()
    assert len(list(prefix.glob("lib/python3.*/site-packages/pip-*.dist-info"))) == 1
    assert check_records(prefix) > 1000
    machine.assert_kernel_works()
