"""The managed Python comes from the store too, so that a machine that is cut off restores all the same."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from uv import find_uv_bin

from support.bench import Bench
from support.index_server import Index

pytestmark = pytest.mark.wheels


@pytest.fixture
def shared(bench: Bench, mirror: Index) -> Path:
    """A store with an environment on a managed Python; the machine has forgotten both."""
    folder = bench.root / "shared"
    bench.up().expect(0)
    bench.run("store", "push", "tiny", "--store", str(folder)).expect(0)
    bench.run("down", "tiny").expect(0)
    shutil.rmtree(bench.store)
    bench.environ["UV_CACHE_DIR"] = str(bench.root / "empty-cache")
    mirror.asked.clear()
    return folder


def test_a_restored_python_needs_no_download(
    bench: Bench, mirror: Index, shared: Path, python: tuple[str, Path]
) -> None:
    mirror.stop()
    text = bench.up("--frozen", "--store", str(shared)).expect(0).text
    (root,) = (bench.store / "pythons").glob("cpython-*")
    assert f"Restored Python {root.name} from {shared}" in text
    version, base = bench.cell("import sys; print('%d.%d' % sys.version_info[:2], sys.base_prefix)").split()
    assert version == python[0]
    assert Path(base).resolve() == root.resolve()
    # uv knows it as one of its own.
    found = subprocess.run(
        [find_uv_bin(), "python", "find", python[0], "--managed-python", "--no-project"],
        env={**bench.environ, "UV_PYTHON_INSTALL_DIR": str(root.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()).is_relative_to(root.parent)


def test_a_damaged_python_is_downloaded_instead(
    bench: Bench, mirror: Index, shared: Path, python: tuple[str, Path]
) -> None:
    (layer,) = shared.glob("layers/*/python-*.layer")
    data = bytearray(layer.read_bytes())
    data[len(data) // 3] ^= 1
    layer.write_bytes(data)
    text = bench.up("--frozen", "--store", str(shared)).expect(0).text
    assert "Restored Python" not in text
    assert any("pythons/python.tar.gz" in line for line in mirror.asked)
    assert bench.cell("import sys; print('%d.%d' % sys.version_info[:2])") == python[0]
    assert [path.name for path in (bench.store / "pythons").glob(".restoring-*")] == []


def test_a_python_that_does_not_run_is_downloaded_instead(bench: Bench, mirror: Index, shared: Path) -> None:
    # Of another machine, or for a newer C library: it unpacks, and does not start.
    from colabenv.store.manifest import dump_manifest, parse_manifest
    from colabenv.store.pack import pack_python

    for file in [*shared.glob("pythons/*.json"), *shared.glob("manifests/*/*.json")]:
        manifest = parse_manifest(file.read_bytes(), file.name)
        assert manifest.interpreter is not None
        fake = bench.root / manifest.interpreter.version
        (fake / "bin").mkdir(parents=True, exist_ok=True)
        minor = ".".join(manifest.python.split(".")[:2])
        (fake / "bin" / f"python{minor}").write_text("#!/bin/sh\nexit 127\n")
        (fake / "bin" / f"python{minor}").chmod(0o755)
        parcel = pack_python(fake, bench.temporary)
        shutil.copy(parcel.file, shared / parcel.layer.object_name(manifest.tag))
        file.write_bytes(dump_manifest(manifest.__class__(**{**vars(manifest), "interpreter": parcel.layer})))
    text = bench.up("--frozen", "--store", str(shared)).expect(0).text
    assert "The store's Python was not used: it does not run." in text
    assert any("pythons/python.tar.gz" in line for line in mirror.asked)
    bench.cell("import tiny")
