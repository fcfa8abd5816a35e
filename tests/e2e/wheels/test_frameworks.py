"""Keras 3 without TensorFlow, and the oldest TensorFlow: they train and predict in the registered kernel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

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


#: One step of training with tensorflow.keras, and with the separate Keras of that time.
OLD_CELL = """
import json, sys
import keras, numpy, tensorflow
def train(keras):
    layers = keras.layers
    model = keras.models.Sequential([layers.Embedding(10, 4, input_length=5), layers.LSTM(3), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(numpy.zeros((8, 5)), numpy.zeros(8), verbose=0)
    model.save("model.h5")
    return keras.models.load_model("model.h5").predict(numpy.zeros((2, 5))).shape
print(json.dumps({
    "tensorflow": tensorflow.__version__,
    "keras": keras.__version__,
    "contrib": hasattr(tensorflow, "contrib"),
    "shapes": [train(tensorflow.keras), train(keras)],
    "prefix": sys.prefix,
}))
"""


class Machine:
    """Runs colabenv and cells in a folder of its own, with the Pythons of this machine."""

    def __init__(self, folder: Path, cache: Path) -> None:
        # The home is empty, so PATH lists the Pythons of this machine; colabenv downloads missing ones.
        folders = [str(path.parent) for path in interpreters().values()]
        self.folder = folder
        self.environ = {
            **os.environ,
            "PATH": os.pathsep.join([os.environ["PATH"], *folders]),
            "COLABENV_HOME": str(folder / "colabenv"),
            "JUPYTER_DATA_DIR": str(folder / "jupyter"),
            "UV_CACHE_DIR": str(cache),
        }

    def run(self, *argv: str) -> str:
        """The standard output of Python with these arguments."""
        done = subprocess.run(
            [sys.executable, *argv],
            env=self.environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def up(self, *arguments: str) -> dict[str, Any]:
        """The result of `up --variant cpu`."""
        result: dict[str, Any] = json.loads(
            self.run("-m", "colabenv", "up", *arguments, "--variant", "cpu", "--json")
        )
        return result

    def run_cell(self, kernel: str, cell: str) -> dict[str, Any]:
        """The last line that a cell prints in a kernel, as JSON."""
        # TensorFlow 1 prints its warnings to standard output.
        last = self.run("-I", "-c", CLIENT, kernel, cell).strip().splitlines()[-1]
        result: dict[str, Any] = json.loads(last)
        return result


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("backend", "tensor"),
    [("jax", "jaxlib"), pytest.param("torch", "torch", marks=pytest.mark.gigabytes)],
)
def test_keras_runs_on_its_backend(backend: str, tensor: str, tmp_path: Path, uv_cache: Path) -> None:
    # PyTorch's wheels are 3 GB to download and 5 GB unpacked, so they do not stay in the cache of the tests.
    cache = uv_cache if backend == "jax" else tmp_path / "cache"
    machine = Machine(tmp_path, cache)
    name = f"keras-on-{backend}"
    up = machine.up(f"builtin:{name}", "--frozen")
    result = machine.run_cell(f"colabenv-{name}", CELL)
    machine.run("-m", "colabenv", "down", name)
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


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("tensorflow", "release"), [("1.15", "1.15.5"), ("2.1", "2.1.4")])
def test_tensorflow_of_2019_trains_with_the_keras_of_its_time(
    tensorflow: str, release: str, tmp_path: Path, uv_cache: Path
) -> None:
    machine = Machine(tmp_path, uv_cache)
    (tmp_path / "old.yaml").write_text(
        f'name: old\nstack: {{tensorflow: "{tensorflow}", keras: "2.3.1"}}\n', encoding="utf-8"
    )
    up = machine.up("old.yaml")
    assert machine.run_cell("colabenv-old", OLD_CELL) == {
        "tensorflow": release,
        "keras": "2.3.1",
        "contrib": tensorflow == "1.15",
        "shapes": [[2, 1], [2, 1]],
        "prefix": up["environment"],
    }
