"""The cell that the proof runs inside the kernel.

Its source is sent to the kernel as it is, so: standard library only, CPython 3.8, nothing of colabenv. Everything it
finds is returned as plain data; what must hold is judged by `probe`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import linecache
import os
import re
import shutil
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: Starts a line on standard output that says what comes next.
STEP = "colabenv-step: "


def step(text: str) -> None:
    """Say what comes next, for the line of progress."""
    sys.stdout.write(STEP + text + "\n")
    sys.stdout.flush()


def prove(question: dict[str, Any]) -> dict[str, Any]:
    """Import, compare, predict.

    Args:
        question: `imports` (module names), `code` (text or None), `versions` (locked version by distribution).

    Returns:
        What was found; see the keys below.
    """
    report: dict[str, Any] = {
        "executable": sys.executable,
        "prefix": sys.prefix,
        "version": sys.version.split()[0],
        "kernel_class": kernel_class(),
        "pip": shutil.which("pip"),
        "python": shutil.which("python"),
        "seconds": {},
        "origins": {},
        "devices": [],
    }
    report["differences"] = differences(question["versions"])
    for name in question["imports"]:
        step("import " + name)
        started = time.perf_counter()
        module = importlib.import_module(name)
        report["seconds"]["import " + name] = time.perf_counter() - started
        report["origins"][name] = getattr(module, "__file__", None)
    code = question["code"]
    started = time.perf_counter()
    if code:
        step("verify.code")
        run_code(code)
        report["seconds"]["verify.code"] = time.perf_counter() - started
    elif "tensorflow" in question["versions"] or "tensorflow-cpu" in question["versions"]:
        report["prediction"] = predict(report)
        report["seconds"]["prediction"] = time.perf_counter() - started
    if "tensorflow" in sys.modules:
        report["origins"].setdefault("tensorflow", sys.modules["tensorflow"].__file__)
        report.update(tensorflow_facts(sys.modules["tensorflow"]))
    return report


def run_code(code: str) -> None:
    """Run the profile's own proof, so that a traceback shows its lines."""
    file = "<verify.code>"
    linecache.cache[file] = (len(code), None, code.splitlines(True), file)
    exec(compile(code, file, "exec"), {"__name__": "__main__"})  # noqa: S102 - it is what the person wants run


def kernel_class() -> str:
    """Full name of the class of the kernel this runs in."""
    from ipykernel.kernelapp import IPKernelApp

    found = type(IPKernelApp.instance().kernel)
    return found.__module__ + "." + found.__qualname__


def differences(versions: dict[str, str]) -> list[list[str]]:
    """Distributions that are not as locked, as [name, locked, found]; found is "" where one is missing."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            # The first on the path is the one that is imported.
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), distribution.version)
    return [
        [name, version, found.get(name, "")]
        for name, version in sorted(versions.items())
        if found.get(name) != version
    ]


def predict(report: dict[str, Any]) -> dict[str, Any]:
    """One image through MobileNetV2 with random weights: what people do first with keras.applications."""
    step("import tensorflow")
    started = time.perf_counter()
    import numpy
    import tensorflow

    report["seconds"]["import tensorflow"] = time.perf_counter() - started
    report["origins"]["tensorflow"] = tensorflow.__file__
    step("a prediction with MobileNetV2")
    model = tensorflow.keras.applications.MobileNetV2(weights=None)
    answer = model.predict(numpy.zeros((1, 224, 224, 3), dtype="float32"), verbose=0)
    total = float(answer.sum())
    if answer.shape != (1, 1000) or not 0.99 < total < 1.01:
        raise AssertionError("MobileNetV2 gave shape %r, sum %r" % (answer.shape, total))
    return {"model": "MobileNetV2", "shape": list(answer.shape), "sum": total}


def tensorflow_facts(tensorflow: Any) -> dict[str, Any]:
    """Which TensorFlow was loaded, from where, with which Keras and devices."""
    facts: dict[str, Any] = {
        "tensorflow": tensorflow.__version__,
        "built_with_cuda": bool(tensorflow.test.is_built_with_cuda()),
        "devices": [
            [device.name, device.device_type] for device in tensorflow.config.list_physical_devices()
        ],
        "library_path": os.environ.get("LD_LIBRARY_PATH", ""),
    }
    legacy = os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true")
    # tensorflow.keras is tf-keras then, and says no version of its own.
    known = None if legacy else getattr(tensorflow.keras, "__version__", None)
    facts["keras"] = known or importlib.metadata.version("tf-keras" if legacy else "keras")
    return facts
