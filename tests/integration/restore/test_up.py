"""`up` with a store: a restore equals an installation, and no store can harm it."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from colabenv.store.manifest import Chunk, Layer, dump_manifest, parse_manifest
from support.bench import TINY, Bench
from support.index_server import Index
from support.memory_store import make_layer, make_raw_chunk
from support.mounts import small_disk
from support.packages import wheel
from support.throttle import Throttle, served

#: Files that differ between two builds of the same environment.
OF_THE_RUN = ("stamp.json", ".lock", "colabenv/", "bin/uv", "bin/uvx")
CHECK = """
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


def tree(prefix: Path) -> dict[str, tuple[object, ...]]:
    """Each file of an environment: its mode and content, and for bytecode what it was compiled from."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(prefix.rglob("*")):
        name = str(path.relative_to(prefix))
        if name.startswith(OF_THE_RUN) or "/lib64/" in f"/{name}":
            continue
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()))
        elif path.is_file():
            found[name] = (oct(path.stat().st_mode), hashlib.sha256(path.read_bytes()).hexdigest())
        else:
            found[name] = ("folder",)
    return found


def checked(prefix: Path) -> int:
    """The number of files, which the environment's own Python compares with RECORD."""
    argv = [str(prefix / "bin" / "python"), "-I", "-c", CHECK]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def restored(text: str) -> tuple[int, int]:
    """The number of restored packages and of all packages, from the output."""
    words = next(line for line in text.splitlines() if line.startswith("  store   restored")).split()
    return int(words[2]), int(words[4])


def test_a_restore_equals_an_installation_and_needs_no_index(bench: Bench, index: Index) -> None:
    bench.up().expect(0)
    (prefix,) = bench.environments()
    installed = tree(prefix)
    bench.run("store", "push", "tiny", "--store", str(bench.root / "shared")).expect(0)
    bench.run("down", "tiny").expect(0)
    index.stop()
    bench.environ["UV_CACHE_DIR"] = str(bench.root / "empty-cache")

    done = bench.up("--frozen", "--store", str(bench.root / "shared"), "--json").expect(0)
    result = json.loads(done.text[done.text.index("\n{") + 1 :])
    assert bench.environments() == [prefix]
    assert len(result["store"]["restored"]) == result["store"]["packages"] == result["packages"]
    assert result["store"]["bytes"] > 1_000_000
    assert result["action"] == "built"

    again = tree(prefix)
    bytecode = {name for name in again if name.endswith((".pyc", "__pycache__"))}
    assert {name: one for name, one in again.items() if name not in bytecode} == {
        name: one for name, one in installed.items() if not name.endswith((".pyc", "__pycache__"))
    }
    assert len([name for name in bytecode if name.endswith(".pyc")]) > 200
    assert checked(prefix) > 1000
    # The restored bytecode is up to date, so Python does not write it again.
    before = {path: path.stat().st_mtime_ns for path in prefix.rglob("*.pyc")}
    code = "import IPython, ipykernel, jupyter_client, tiny, zmq"
    subprocess.run([prefix / "bin" / "python", "-I", "-c", code], check=True)
    assert {path: path.stat().st_mtime_ns for path in prefix.rglob("*.pyc")} == before
    subprocess.run([prefix / "bin" / "python", "-I", "-m", "pip", "check"], check=True, capture_output=True)
    script = subprocess.run([prefix / "bin" / "ipython", "--version"], capture_output=True, check=True)
    assert script.stdout.strip()
    bench.works()


def forged(layer: Layer, rows: list[list[object]], data: bytes) -> tuple[Layer, bytes]:
    """A layer for the same wheel with another content."""
    return make_layer(layer.name, layer.version, layer.wheel, [make_raw_chunk(rows, data)], len(rows))


def flip(path: Path, layer: Layer) -> Layer:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return layer


def cut(path: Path, layer: Layer) -> Layer:
    path.write_bytes(path.read_bytes()[:-9])
    return layer


def vanish(path: Path, layer: Layer) -> Layer:
    path.unlink()
    return layer


def _replaced(path: Path, made: tuple[Layer, bytes], tag: str) -> Layer:
    layer, data = made
    (path.parents[2] / layer.object_name(tag)).write_bytes(data)
    return layer


def climb(path: Path, layer: Layer) -> Layer:
    name = "../../../../../../../escaped.txt"
    return _replaced(path, forged(layer, [[name, "f", 0o644, 1, 4, 0, 4]], b"evil"), path.parent.name)


def link(path: Path, layer: Layer) -> Layer:
    name = "lib/python3.11/site-packages/out"
    return _replaced(path, forged(layer, [[name, "l", 0o777, 1, 4, 0, 4]], b"/etc"), path.parent.name)


def device(path: Path, layer: Layer) -> Layer:
    return _replaced(path, forged(layer, [["bin/null", "c", 0o666, 1, 0, 0, 0]], b""), path.parent.name)


def shadow(path: Path, layer: Layer) -> Layer:
    return _replaced(path, forged(layer, [["bin/python", "f", 0o755, 1, 4, 0, 4]], b"evil"), path.parent.name)


def bomb(path: Path, layer: Layer) -> Layer:
    data = zstandard.compress(bytes(300 << 20))
    chunk = Chunk(len(data), 1000, hashlib.sha256(data).hexdigest())
    return _replaced(path, (replace(layer, chunks=(chunk,), files=1), data), path.parent.name)


HOSTILE: dict[str, Callable[[Path, Layer], Layer]] = {
    "tornado": flip,
    "jedi": cut,
    "pyzmq": vanish,
    "traitlets": climb,
    "psutil": link,
    "packaging": device,
    "parso": shadow,
    "tiny": bomb,
}


def spoil(store: Path) -> None:
    """Replace layers by hostile ones of each kind; the manifest matches them as far as possible."""
    (file,) = store.glob("manifests/*/*.json")
    manifest = parse_manifest(file.read_bytes(), file.name)

    def changed(layer: Layer) -> Layer:
        hostile = HOSTILE.get(layer.name)
        return hostile(store / layer.object_name(manifest.tag), layer) if hostile else layer

    assert set(HOSTILE) <= {layer.name for layer in manifest.layers}
    file.write_bytes(dump_manifest(replace(manifest, layers=tuple(map(changed, manifest.layers)))))


def test_cached_wheels_are_not_downloaded(bench: Bench, store: Path, unpacked: Path) -> None:
    bench.environ["UV_CACHE_DIR"] = str(unpacked)
    text = bench.up("--frozen", "--store", str(store)).expect(0).text
    assert "This machine has all wheels already, so the store was not needed." in text
    (prefix,) = bench.environments()
    assert not list(prefix.parent.glob(".restoring*"))
    # With a wheel of it gone from there the store is asked again.
    bench.run("down", "tiny").expect(0)
    bench.environ["UV_CACHE_DIR"] = str(bench.root / "empty-cache")
    count, packages = restored(bench.up("--frozen", "--store", str(store)).expect(0).text)
    assert count == packages


def test_a_hostile_store_is_ignored(bench: Bench, store: Path) -> None:
    spoil(store)
    text = bench.up("--frozen", "--store", str(store)).expect(0).text
    assert f"Installing {len(HOSTILE)} packages from the index instead" in text
    count, packages = restored(text)
    assert count == packages - len(HOSTILE)
    (prefix,) = bench.environments()
    assert checked(prefix) > 1000
    bench.works()
    assert not list(Path("/").glob("escaped.txt"))
    assert not list(bench.root.rglob("escaped.txt"))


@pytest.mark.wheels
def test_a_hostile_store_and_no_index(bench: Bench, index: Index, store: Path) -> None:
    spoil(store)
    # Without an index there is nothing to install from: nothing half-made stays.
    index.stop()
    text = bench.up("--frozen", "--store", str(store)).expect(3).text
    assert f"Installing {len(HOSTILE)} packages from the index instead" in text
    assert bench.environments() == []
    assert bench.kernels() == []


@pytest.mark.wheels
def test_invalid_manifests_are_ignored(bench: Bench, store: Path) -> None:
    (file,) = store.glob("manifests/*/*.json")
    other = replace(parse_manifest(file.read_bytes(), file.name), lock="f" * 64)
    for data in (dump_manifest(other), file.read_bytes()[:-30], b"{}"):
        file.write_bytes(data)
        text = bench.up("--dry-run", "--frozen", "--store", str(store)).expect(0).text
        assert f"has 0 of {len(other.layers)} packages" in text
    text = bench.up("--frozen", "--store", str(store)).expect(0).text
    assert "nothing came from" in text
    assert f"{file.name} in the store cannot be used" in text
    bench.works()


def test_a_new_profile_restores_what_it_shares(bench: Bench, index: Index, store: Path) -> None:
    index.add(*wheel("extra", "2.0"))
    bench.profile.write_text(TINY.replace("packages: [tiny]", "packages: [tiny, extra]"))
    index.asked.clear()
    text = bench.up("--store", str(store)).expect(0).text
    count, packages = restored(text)
    assert count == packages - 1
    assert [line for line in index.asked if line.endswith(".whl")] == [
        "GET /files/extra-2.0-py3-none-any.whl"
    ]
    bench.works()
    assert bench.cell("import extra; print(extra.VERSION)") == "2.0"
    # `up` has nothing to do; the store is not even looked at.
    shutil.rmtree(store)
    assert "nothing has changed" in bench.up("--store", str(store)).expect(0).text


def test_dry_run_reports_the_store_without_downloading(bench: Bench, store: Path) -> None:
    shutil.rmtree(store / "layers")
    text = bench.up("--dry-run", "--frozen", COLABENV_STORE=str(store)).expect(0).text
    (line,) = (line for line in text.splitlines() if line.startswith("The store"))
    (manifest,) = store.glob("manifests/*/*.json")
    count = len(parse_manifest(manifest.read_bytes(), "").layers)
    assert line.startswith(f"The store {store} has {count} of {count} packages (")
    assert bench.environments() == []
    gone = bench.up("--dry-run", "--frozen", "--store", str(store / "nowhere")).expect(0).text
    assert f"has 0 of {count} packages" in gone


@pytest.mark.wheels
def test_an_unavailable_store_is_skipped(bench: Bench, store: Path) -> None:
    del store
    text = bench.up("--frozen", "--store", "http://127.0.0.1:9/team").expect(0).text
    assert "The store was not used" in text
    bench.works()


@pytest.mark.wheels
def test_a_silent_store_is_skipped(bench: Bench, store: Path) -> None:
    with served(store, Throttle(silent="manifests")) as url:
        result = _timed(bench, url)
    assert "The store was not used" in result[0]
    # It began beside the look at the machine, and 5 s are allowed; the rest is for a busy machine.
    assert result[1] < 15
    bench.works()


@pytest.mark.wheels
def test_a_slow_store_is_dropped(bench: Bench, index: Index, store: Path) -> None:
    with served(store, Throttle(rate=400_000)) as url:
        text, seconds = _timed(bench, url)
        assert "from the index instead of the store" in text
        assert seconds < 15
        (prefix,) = bench.environments()
        assert checked(prefix) > 1000
        bench.works()
        # Where there is no index, it is waited for.
        bench.run("down", "tiny").expect(0)
        index.stop()
        bench.environ["UV_CACHE_DIR"] = str(bench.root / "another-cache")
    with served(store, Throttle(rate=1_500_000)) as url:
        text, _ = _timed(bench, url)
    count, packages = restored(text)
    assert count == packages
    bench.works()


def _timed(bench: Bench, url: str) -> tuple[str, float]:
    """The output of `up`, and the seconds of the installation."""
    done = bench.up("--frozen", "--store", url, "--json").expect(0)
    result = json.loads(done.text[done.text.index("\n{") + 1 :])
    said = f"{done.text}\n  store   {result['store'].get('said', '')}"
    return said, result["seconds"]["install"]


@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.wheels)],
    ids=["killed", "interrupted"],
)
def test_an_interrupted_restore_leaves_nothing(bench: Bench, store: Path, number: signal.Signals) -> None:
    throttle = Throttle(most=4_000_000)
    with served(store, throttle) as url:
        up = bench.start_up("--frozen", "--store", url)
        up.until(
            lambda: throttle.sent > 3_000_000 and list(bench.store.glob("envs/tiny/.restoring-*/*")),
            "some came",
        )
        up.send(number)
        done = up.done()
    bench.expect_quiet()
    assert bench.kernels() == []
    left = [path.name for path in bench.environments() if path.name.startswith(".restoring-")]
    if number == signal.SIGINT:
        assert done.code == 130
        assert bench.environments() == []
        return
    # Nothing that was left is used; `gc` and the next `up` both remove it.
    assert left
    assert "left by an interrupted restore" in bench.run("gc", "--dry-run").expect(0).text
    bench.up("--frozen", "--store", str(store)).expect(0)
    assert len(bench.environments()) == 1
    bench.works()


@pytest.mark.wheels
def test_a_full_disk_ends_the_restore(bench: Bench, store: Path) -> None:
    throttle = Throttle(most=4_000_000)
    with small_disk(bench.store, 400) as disk, served(store, throttle) as url:
        up = bench.start_up("--frozen", "--store", url)
        up.until(lambda: throttle.sent > throttle.most, "some came")
        up.until(lambda: list(bench.store.glob("envs/tiny/.restoring-*/*")), "files are on the disk")
        disk.fill(leave=2_000_000)
        throttle.most = 1 << 40
        done = up.done().expect(3)
        assert "disk" in done.text
        assert bench.environments() == []
        disk.resize(1200)
        bench.up("--frozen", "--store", url).expect(0)
        bench.works()


@pytest.mark.wheels
def test_pip_restores_from_a_store(bench: Bench, store: Path) -> None:
    text = bench.up("--frozen", "--store", str(store), COLABENV_INSTALLER="pip").expect(0).text
    count, packages = restored(text)
    assert count == packages
    (prefix,) = bench.environments()
    assert len(list(prefix.glob("lib/python3.*/site-packages/pip-*.dist-info"))) == 1
    assert checked(prefix) > 1000
    bench.works()
