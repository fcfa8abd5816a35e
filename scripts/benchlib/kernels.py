"""Start a kernel as a notebook server does, and run in it the cell that all contenders run."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

#: The same prediction as in colabenv's check.
CELL = """
import numpy, tensorflow
model = tensorflow.keras.applications.MobileNetV2(weights=None)
scores = model.predict(numpy.zeros((1, 224, 224, 3), dtype="float32"), verbose=0)
assert scores.shape == (1, 1000) and 0.99 < float(scores.sum()) < 1.01, scores
"""


def run_first_cell(kernels: Path, name: str, environ: Mapping[str, str]) -> dict[str, float]:
    """Start a kernel, run the cell in it and stop it.

    Args:
        kernels: a folder of kernelspecs.
        name: the kernel to start.
        environ: environment variables of the kernel.

    Returns:
        Seconds until the kernel is ready ("kernel") and seconds of the cell ("cell").

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
            reply = client.execute_interactive(CELL, timeout=900, output_hook=discard_message)
            ended = time.perf_counter()
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    content = reply["content"]
    if content["status"] != "ok":
        raise SystemExit(f"The cell failed in {name}: {content['ename']}: {content['evalue']}; see {log}")
    return {"kernel": ready - started, "cell": ended - ready}


def discard_message(message: object) -> None:
    """Discard the output of the cell."""


def write_kernelspec(folder: Path, python: Path) -> Path:
    """Write a kernelspec of an environment's ipykernel; returns the folder of kernelspecs, which no Jupyter reads."""
    spec = {
        "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "by hand",
        "language": "python",
    }
    path = folder / "kernels" / "by-hand" / "kernel.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(spec), encoding="utf-8")
    return folder / "kernels"
