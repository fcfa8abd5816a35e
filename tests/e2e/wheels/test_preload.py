"""A warm kernel with TensorFlow, and the bytecode that `up` writes for cold kernels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from colabenv.kernel import warm
from support.pythons import interpreters
from support.timeouts import wait_until
from support.wheels_client import CLIENT

pytestmark = [pytest.mark.wheels, pytest.mark.network, pytest.mark.slow]

PROFILE = """\
name: lesson
python: "3.11"
stack: {tensorflow: "2.15.1", accelerator: cpu}
kernel: {preload: [tensorflow]}
"""
#: Measures TensorFlow's import in a kernel, checks whether it has initialized devices, and predicts.
CELL = """
import json, time
started = time.perf_counter()
import tensorflow
seconds = time.perf_counter() - started
from tensorflow.python.eager import context
initialized = context.context()._initialized
inputs = tensorflow.keras.Input((4,))
model = tensorflow.keras.Model(inputs, tensorflow.keras.layers.Dense(2)(inputs))
shape = model.predict(tensorflow.ones((3, 4)), verbose=0).shape
result = {"seconds": seconds, "initialized": initialized, "shape": shape, "layer": model.layers[1].name}
print("=" + json.dumps(result))
"""
#: Lists modules of the kernel and of TensorFlow whose bytecode is missing, invalid, or newer than PUBLISHED.
BYTECODE = """
import importlib.util, json, os, sys
import tensorflow
def has_valid_bytecode(spec):
    try:
        with open(spec.cached, "rb") as file:
            head = file.read(16)
    except OSError:
        return False
    source = os.stat(spec.origin)
    numbers = [int.from_bytes(head[start : start + 4], "little") for start in (4, 8, 12)]
    expected = [0, int(source.st_mtime) & 0xFFFFFFFF, source.st_size & 0xFFFFFFFF]
    return head[:4] == importlib.util.MAGIC_NUMBER and numbers == expected
specs = [getattr(module, "__spec__", None) for module in list(sys.modules.values())]
specs = [spec for spec in specs if spec and spec.cached and str(spec.origin).endswith(".py")]
invalid = [spec for spec in specs if not has_valid_bytecode(spec) or os.stat(spec.cached).st_mtime > PUBLISHED]
print("=" + json.dumps({"modules": len(specs), "invalid": sorted(spec.name for spec in invalid)}))
"""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_first_kernel_has_tensorflow_imported(installer: str, tmp_path: Path, uv_cache: Path) -> None:
    folders = [str(path.parent) for path in interpreters().values()]
    environ = {
        **os.environ,
        "PATH": os.pathsep.join([os.environ["PATH"], *folders]),
        "COLABENV_HOME": str(tmp_path / "colabenv"),
        "COLABENV_INSTALLER": installer,
        "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"),
        "UV_CACHE_DIR": str(uv_cache),
        "PIP_CACHE_DIR": str(uv_cache.parent / "pip"),
    }
    (tmp_path / "lesson.yaml").write_text(PROFILE)

    def run(*argv: str) -> str:
        done = subprocess.run(
            [sys.executable, *argv], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def cell(code: str) -> Any:
        return json.loads(run("-I", "-c", CLIENT, "colabenv-lesson", code).rpartition("=")[2])

    up = json.loads(run("-m", "colabenv", "up", "lesson.yaml", "--variant", "cpu", "--json"))
    assert up["warming"]
    prefix = Path(up["environment"])

    def warm_process() -> warm.WarmProcess:
        process = warm.find_warm_process(prefix)
        assert process is not None, (prefix / "colabenv" / "warm" / "log").read_text()
        return process

    wait_until(lambda: warm_process().ready, "TensorFlow is imported")
    assert 200e6 < warm_process().bytes < 1e9, "docs/profile.md has another size"
    first, second = cell(CELL), cell(CELL)
    published = Path(up["kernelspec"]).stat().st_mtime
    bytecode = cell(f"PUBLISHED = {published}\n{BYTECODE}")
    run("-m", "colabenv", "down", "lesson")

    assert first["seconds"] < 0.2
    assert second["seconds"] > 0.5, "a second kernel used the warm process"
    assert not first["initialized"], "preloading has initialized devices, such as a GPU"
    assert first["shape"] == [3, 2]
    assert first["layer"] == "dense", "preloading has created layers"
    assert bytecode["modules"] > 2000
    assert bytecode["invalid"] == []
