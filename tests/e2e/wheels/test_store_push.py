"""`store push` with real wheels: the stored size of TensorFlow, and the hashes of the wheels."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from colabenv.commands.context import Context
from colabenv.commands.store import store_gc, store_ls, store_push
from colabenv.commands.up import up
from colabenv.environment.build import read_lock_copy
from colabenv.errors import ModifiedPackageError
from colabenv.kernel.lookup import find_environment
from colabenv.store.manifest import parse_manifest

pytestmark = [pytest.mark.wheels, pytest.mark.network]

PROFILE = """\
name: pushed
python: "3.11"
stack: {tensorflow: "2.15.1", accelerator: cpu}
packages: [pandas]
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Context]:
    """A machine with one environment and a cache without other packages."""
    folder = Path(tempfile.mkdtemp(prefix="colabenv-wheels-"))
    try:
        profile = folder / "pushed.yaml"
        profile.write_text(PROFILE)
        variables = {
            "COLABENV_HOME": str(folder / "home"),
            "UV_CACHE_DIR": str(folder / "uv"),
            "HOME": str(folder),
        }
        context = Context({**os.environ, **variables, "COLABENV_STORE": str(folder / "store")})
        up(context, str(profile), variant="cpu", store="none")
        yield context
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_tensorflow_takes_less_space_than_its_wheels(machine: Context) -> None:
    environment = find_environment("pushed", machine)
    pins = read_lock_copy(environment).pins
    done = store_push(machine, "pushed", store="")
    assert (done.packages, done.left_out) == (len(pins), {})
    assert done.ratio is not None
    assert done.ratio <= 0.8
    assert done.wheel_bytes > 400e6
    started = time.process_time()
    assert store_push(machine, "pushed", store="").sent == 0
    assert time.process_time() - started < 10
    assert [entry.bytes for entry in store_ls(machine, store="").environments] == [done.bytes]
    assert store_gc(machine, store="", keep_days=30, dry_run=False).removed == ()


def test_layers_contain_bytecode(machine: Context) -> None:
    environment = find_environment("pushed", machine)
    name = next(Path(machine.environ["COLABENV_STORE"]).glob("manifests/*/*.json"))
    layers = {layer.name: layer for layer in parse_manifest(name.read_bytes(), name.name).layers}
    site = next(environment.prefix.glob("lib/python3.*/site-packages"))
    compiled = sum(1 for _ in (site / "tensorflow").rglob("__pycache__/*.pyc"))
    record = next(site.glob("tensorflow-2*.dist-info")) / "RECORD"
    assert compiled > 1000
    assert layers["tensorflow"].files >= len(record.read_text().splitlines()) + compiled


def test_manifest_names_the_wheels_that_uv_installed(machine: Context) -> None:
    """uv's cache contains the digest of each wheel that it checked."""
    name = next(Path(machine.environ["COLABENV_STORE"]).glob("manifests/*/*.json"))
    cache = Path(machine.environ["UV_CACHE_DIR"])
    cached = b"".join(path.read_bytes() for path in cache.glob("wheels-*/pypi/*/*.http"))
    assert cached
    layers = parse_manifest(name.read_bytes(), name.name).layers
    assert [layer.name for layer in layers if layer.wheel.encode() not in cached] == []


def test_modified_file_of_tensorflow_is_rejected(machine: Context) -> None:
    environment = find_environment("pushed", machine)
    file = next(environment.prefix.glob("lib/python3.*/site-packages/keras/src/callbacks.py"))
    before = file.read_bytes()
    file.unlink()  # it may be a link to uv's cache
    file.write_bytes(before.replace(b"import", b"imporT", 1))
    with pytest.raises(
        ModifiedPackageError, match=r"keras 2.15.0 cannot be pushed: .*callbacks.py was changed"
    ):
        store_push(machine, "pushed", store="", force=True)
