"""Opening a kernel as a notebook server does, and the cell that everybody runs in it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

#: The prediction of colabenv's own proof.
CELL = """
import numpy, tensorflow
model = tensorflow.keras.applications.MobileNetV2(weights=None)
answer = model.predict(numpy.zeros((1, 224, 224, 3), dtype="float32"), verbose=0)
assert answer.shape == (1, 1000) and 0.99 < float(answer.sum()) < 1.01, answer
"""


def first_prediction(kernels: Path, name: str, environ: Mapping[str, str]) -> dict[str, float]:
    """Start a kernel, run the cell in it and stop it.

    Args:
        kernels: a folder of kernelspecs.
        name: the one to start.
        environ: what the kernel inherits.

    Returns:
        Seconds until the kernel was ready ("kernel") and seconds for the cell ("cell").

    Raises:
        SystemExit: the cell failed.
    """
    specs = KernelSpecManager(kernel_dirs=[str(kernels)], ensure_native_kernel=False)
    log = kernels.parent / "kernel.log"
    started = time.perf_counter()
    manager = KernelManager(kernel_name=name, kernel_spec_manager=specs)
    with log.open("ab") as file:
        manager.start_kernel(env=dict(environ), cwd=str(kernels.parent), stdout=file, stderr=file)
        client = manager.blocking_client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=300)
            ready = time.perf_counter()
            reply = client.execute_interactive(CELL, timeout=900, output_hook=nobody)
            ended = time.perf_counter()
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    content = reply["content"]
    if content["status"] != "ok":
        raise SystemExit(f"The cell failed in {name}: {content['ename']}: {content['evalue']}; see {log}")
    return {"kernel": ready - started, "cell": ended - ready}


def nobody(message: object) -> None:
    """Take a message of the cell, for nobody."""


def unregistered(folder: Path, python: Path) -> Path:
    """A folder with a kernelspec of an environment's own ipykernel, which no Jupyter knows."""
    spec = {
        "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "by hand",
        "language": "python",
    }
    path = folder / "kernels" / "by-hand" / "kernel.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(spec), encoding="utf-8")
    return folder / "kernels"
