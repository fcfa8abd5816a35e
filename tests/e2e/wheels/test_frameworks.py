"""Keras 3 without TensorFlow, from the built-in profiles: it trains and predicts in the registered kernel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.pythons import interpreters
from support.wheels_client import CLIENT

pytestmark = [pytest.mark.wheels, pytest.mark.network, pytest.mark.slow]

CELL = """
import json, os, sys
import keras, numpy
layers = keras.layers
model = keras.Sequential([layers.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)])
model.compile("adam", "mse")
history = model.fit(numpy.ones((16, 8, 8, 3)), numpy.ones((16, 2)), epochs=3, verbose=0).history["loss"]
print(json.dumps({
    "variable": os.environ["KERAS_BACKEND"],
    "backend": keras.backend.backend(),
    "tensor": type(keras.ops.ones(2)).__module__.split(".")[0],
    "shape": model.predict(numpy.ones((2, 8, 8, 3)), verbose=0).shape,
    "learns": history[-1] < history[0],
    "tensorflow": "tensorflow" in sys.modules,
    "prefix": sys.prefix,
}))
"""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("backend", "tensor"),
    [("jax", "jaxlib"), pytest.param("torch", "torch", marks=pytest.mark.gigabytes)],
)
def test_keras_runs_on_its_backend(backend: str, tensor: str, tmp_path: Path, uv_cache: Path) -> None:
    # The home is empty, so PATH lists the Pythons of this machine; colabenv downloads missing ones.
    folders = [str(path.parent) for path in interpreters().values()]
    # PyTorch's wheels are 3 GB to download and 5 GB unpacked, so they do not stay in the cache of the tests.
    cache = uv_cache if backend == "jax" else tmp_path / "cache"
    environ = {
        **os.environ,
        "PATH": os.pathsep.join([os.environ["PATH"], *folders]),
        "COLABENV_HOME": str(tmp_path / "colabenv"),
        "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"),
        "UV_CACHE_DIR": str(cache),
    }
    name = f"keras-on-{backend}"

    def run(*argv: str) -> str:
        done = subprocess.run(
            [sys.executable, *argv], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    up = json.loads(run("-m", "colabenv", "up", f"builtin:{name}", "--variant", "cpu", "--frozen", "--json"))
    result = json.loads(run("-I", "-c", CLIENT, f"colabenv-{name}", CELL))
    run("-m", "colabenv", "down", name)
    if cache != uv_cache:
        shutil.rmtree(cache)  # pytest keeps the folders of the last runs

    assert up["backend"] == backend
    assert result == {
        "variable": backend,
        "backend": backend,
        "tensor": tensor,
        "shape": [2, 2],
        "learns": True,
        "tensorflow": False,
        "prefix": up["environment"],
    }
