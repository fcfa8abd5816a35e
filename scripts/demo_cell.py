"""Run a cell in the registered Jupyter kernel that the argument names, and show its output."""

from __future__ import annotations

import sys

from jupyter_client.manager import start_new_kernel

# The log level hides TensorFlow's messages about the GPU.
CELL = """
import os, sys
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras, numpy, tensorflow
model = keras.applications.MobileNetV2(weights=None)
scores = model.predict(numpy.ones((1, 224, 224, 3)), verbose=0)
print("TensorFlow", tensorflow.__version__, "from", tensorflow.__file__)
print("Keras", keras.__version__)
print("Python", sys.version.split()[0], "at", sys.executable)
print("MobileNetV2 without weights: top class", scores.argmax(), "of", scores.shape[1])
"""


def main(kernel: str) -> int:
    """Run the cell; returns 0 if it succeeds, else 1."""
    manager, client = start_new_kernel(startup_timeout=120, kernel_name=kernel)
    try:
        reply = client.execute_interactive(CELL, timeout=300)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return 0 if reply["content"]["status"] == "ok" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
