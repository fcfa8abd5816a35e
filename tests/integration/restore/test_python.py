"""A store also has the managed Python, so that a machine without network can restore an environment."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from uv import find_uv_bin

from colabenv.store.manifest import dump_manifest, parse_manifest
from colabenv.store.pack import pack_python
from support.index_server import Index
from support.user_machine import UserMachine

pytestmark = pytest.mark.wheels


@pytest.fixture
def shared(machine: UserMachine, mirror: Index) -> Path:
    """A store with an environment on a managed Python; the machine has neither."""
    folder = machine.root / "shared"
    machine.up().expect(0)
    machine.run("store", "push", "tiny", "--store", str(folder)).expect(0)
    machine.run("down", "tiny").expect(0)
    shutil.rmtree(machine.colabenv_home)
    machine.environ["UV_CACHE_DIR"] = str(machine.root / "empty-cache")
    mirror.requests.clear()
    return folder


def test_restored_python_needs_no_download(
    machine: UserMachine, mirror: Index, shared: Path, python: tuple[str, Path]
) -> None:
    mirror.stop()
    output = machine.up("--frozen", "--store", str(shared)).expect(0).text
    (root,) = (machine.colabenv_home / "pythons").glob("cpython-*")
    assert f"Restored Python {root.name} from {shared}" in output
    version, base = machine.cell("import sys; print('%d.%d' % sys.version_info[:2], sys.base_prefix)").split()
    assert version == python[0]
    assert Path(base).resolve() == root.resolve()
    # uv recognizes it as a managed Python.
    completed = subprocess.run(
        [find_uv_bin(), "python", "find", python[0], "--managed-python", "--no-project"],
        env={**machine.environ, "UV_PYTHON_INSTALL_DIR": str(root.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(completed.stdout.strip()).is_relative_to(root.parent)


def test_damaged_python_is_downloaded_instead(
    machine: UserMachine, mirror: Index, shared: Path, python: tuple[str, Path]
) -> None:
    (layer,) = shared.glob("layers/*/python-*.layer")
    data = bytearray(layer.read_bytes())
    data[len(data) // 3] ^= 1
    layer.write_bytes(data)
    output = machine.up("--frozen", "--store", str(shared)).expect(0).text
    assert "Restored Python" not in output
    assert any("pythons/python.tar.gz" in request for request in mirror.requests)
    assert machine.cell("import sys; print('%d.%d' % sys.version_info[:2])") == python[0]
    assert [path.name for path in (machine.colabenv_home / "pythons").glob(".restoring-*")] == []


def test_python_that_does_not_run_is_downloaded_instead(
    machine: UserMachine, mirror: Index, shared: Path
) -> None:
    # It unpacks but does not start, as one for another processor or a newer C library.
    for file in [*shared.glob("pythons/*.json"), *shared.glob("manifests/*/*.json")]:
        manifest = parse_manifest(file.read_bytes(), file.name)
        assert manifest.interpreter is not None
        fake = machine.root / manifest.interpreter.version
        (fake / "bin").mkdir(parents=True, exist_ok=True)
        minor = ".".join(manifest.python.split(".")[:2])
        program = fake / "bin" / f"python{minor}"
        program.write_text("#!/bin/sh\nexit 127\n")
        program.chmod(0o755)
        packed = pack_python(fake, machine.temporary)
        shutil.copy(packed.file, shared / packed.layer.object_name(manifest.tag))
        file.write_bytes(dump_manifest(replace(manifest, interpreter=packed.layer)))
    output = machine.up("--frozen", "--store", str(shared)).expect(0).text
    assert "The store's Python was not used: it does not run." in output
    assert any("pythons/python.tar.gz" in request for request in mirror.requests)
    machine.cell("import tiny")
