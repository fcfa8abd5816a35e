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
STEP_PREFIX = "colabenv-step: "


def report_step(text: str) -> None:
    """Say what comes next, for the line of progress."""
    sys.stdout.write(STEP_PREFIX + text + "\n")
    sys.stdout.flush()


def run_checks(question: dict[str, Any]) -> dict[str, Any]:
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
        "kernel_class": kernel_class_name(),
        "pip": shutil.which("pip"),
        "python": shutil.which("python"),
        "seconds": {},
        "origins": {},
        "devices": [],
        "sees_gpu": {},
    }
    report["differences"] = find_version_differences(question["versions"])
    for name in question["imports"]:
        report_step("import " + name)
        started = time.perf_counter()
        module = importlib.import_module(name)
        report["seconds"]["import " + name] = time.perf_counter() - started
        report["origins"][name] = getattr(module, "__file__", None)
    code = question["code"]
    started = time.perf_counter()
    if code:
        report_step("verify.code")
        run_profile_code(code)
        report["seconds"]["verify.code"] = time.perf_counter() - started
    else:
        run_frameworks(report, question["versions"])
    for name, facts in (
        ("torch", describe_torch),
        ("jax", describe_jax),
        ("tensorflow", describe_tensorflow),
    ):
        if name in sys.modules:
            report["origins"].setdefault(name, sys.modules[name].__file__)
            found = facts(sys.modules[name])
            devices = found.pop("devices")
            report["devices"] += devices
            report["sees_gpu"][name] = any(kind == "GPU" for _, kind in devices)
            report.update(found)
    if keras_backend() and "keras" in sys.modules:
        report["keras"] = sys.modules["keras"].__version__
        report["backend"] = sys.modules["keras"].backend.backend()
    return report


def keras_backend() -> str:
    """What Keras 3 runs on, where that was said."""
    return os.environ.get("KERAS_BACKEND", "")


def run_frameworks(report: dict[str, Any], versions: dict[str, str]) -> None:
    """Run a little of each framework that is locked: a sum, and a prediction where there is Keras."""
    # The first framework that takes a GPU's memory may take all of it, and TensorFlow is content with what is left.
    if "torch" in versions:
        run_timed(report, "import torch", "torch")
        run_timed(report, "a sum with torch", run_torch_sum)
    if "jax" in versions:
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        run_timed(report, "import jax", "jax")
        run_timed(report, "a sum with jax", run_jax_sum)
    if "tensorflow" in versions or "tensorflow-cpu" in versions:
        run_timed(report, "import tensorflow", "tensorflow")
        report["prediction"] = run_timed(
            report, "prediction", lambda: run_prediction(sys.modules["tensorflow"].keras)
        )
    elif "keras" in versions and keras_backend():
        run_timed(report, "import keras", "keras")
        report["prediction"] = run_timed(report, "prediction", lambda: run_prediction(sys.modules["keras"]))


def run_timed(report: dict[str, Any], what: str, work: Any) -> Any:
    """Say what comes, do it, and note the seconds. `work` is a function, or the name of a module to import."""
    report_step(what)
    started = time.perf_counter()
    done = importlib.import_module(work) if isinstance(work, str) else work()
    # A module that the profile names was imported before, and that is the figure to keep.
    report["seconds"].setdefault(what, time.perf_counter() - started)
    return done


def run_torch_sum() -> None:
    """A product of matrices with PyTorch, on the GPU where it sees one."""
    torch = importlib.import_module("torch")
    ones = torch.ones((4, 4), device="cuda" if torch.cuda.is_available() else "cpu")
    require_correct_sum("PyTorch", float((ones @ ones).sum()))


def run_jax_sum() -> None:
    """The same with JAX, compiled."""
    jax = importlib.import_module("jax")
    ones = jax.numpy.ones((4, 4))
    require_correct_sum("JAX", float(jax.jit(lambda matrix: (matrix @ matrix).sum())(ones)))


def require_correct_sum(framework: str, total: float) -> None:
    """Refuse a wrong result: 64 is the sum of the product of two 4 by 4 matrices of ones."""
    if total != 64:
        raise AssertionError("%s says that 64 is %r" % (framework, total))


def run_profile_code(code: str) -> None:
    """Run the profile's own proof, so that a traceback shows its lines."""
    file = "<verify.code>"
    linecache.cache[file] = (len(code), None, code.splitlines(True), file)
    exec(compile(code, file, "exec"), {"__name__": "__main__"})  # noqa: S102 - it is what the person wants run


def kernel_class_name() -> str:
    """Full name of the class of the kernel this runs in."""
    from ipykernel.kernelapp import IPKernelApp

    found = type(IPKernelApp.instance().kernel)
    return found.__module__ + "." + found.__qualname__


def find_version_differences(versions: dict[str, str]) -> list[list[str]]:
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


def run_prediction(keras: Any) -> dict[str, Any]:
    """An image through a network with random weights: what people do first.

    On TensorFlow it is MobileNetV2 of keras.applications. JAX compiles each shape of that one's weights, which took a
    minute on a busy machine with two cores, so on other backends a network of three layers has to do.

    Args:
        keras: the module, or tensorflow.keras.
    """
    import numpy

    if keras_backend() in ("", "tensorflow"):
        name, shape, model = "MobileNetV2", (1, 224, 224, 3), keras.applications.MobileNetV2(weights=None)
    else:
        name, shape = "a small network", (1, 8, 8, 3)
        layers = keras.layers
        parts = [
            layers.Conv2D(4, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1000, activation="softmax"),
        ]
        model = keras.Sequential([layers.Input(shape[1:]), *parts])
    answer = model.predict(numpy.zeros(shape, dtype="float32"), verbose=0)
    total = float(answer.sum())
    if answer.shape != (1, 1000) or not 0.99 < total < 1.01:
        raise AssertionError("%s gave shape %r, sum %r" % (name, answer.shape, total))
    return {"model": name, "shape": list(answer.shape), "sum": total}


def describe_torch(torch: Any) -> dict[str, Any]:
    """Which PyTorch was loaded, and the GPUs that it sees."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return {"torch": torch.__version__, "devices": [["cuda:%d" % number, "GPU"] for number in range(count)]}


def describe_jax(jax: Any) -> dict[str, Any]:
    """Which JAX was loaded, and the GPUs that it sees."""
    seen = [device for device in jax.devices() if device.platform in ("gpu", "cuda")]
    return {"jax": jax.__version__, "devices": [[str(device), "GPU"] for device in seen]}


def describe_tensorflow(tensorflow: Any) -> dict[str, Any]:
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
