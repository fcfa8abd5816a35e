"""The cells that the check runs in an environment's kernel. Standard library only, Python 3.6 syntax.

The source is sent to the kernel, where colabenv is not installed; `kernel/check.py` and `kernel/page_check.py` decide
what its plain data means.
"""

import importlib
import linecache
import os
import re
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STEP_PREFIX = "colabenv-step: "  # starts a line of standard output that names the next step
#: Those of `google.colab` that notebooks use most.
COLAB_MODULES = ("auth", "drive", "files", "output", "userdata")
INPUT_STEP, WIDGET_STEP, PLOT_STEP = "input()", "a widget", "a plot"


def run_checks(request: "dict[str, Any]") -> "dict[str, Any]":
    """Import modules, compare versions, and try each framework or run the profile's own code.

    The request has `imports` (module names), `code` (text or None), `versions` (locked version by distribution) and
    `statements` (imports that may fail); the result says what the kernel is and what it loaded, from where, in how many
    seconds, with which devices, and which statements failed.
    """
    report = {
        "executable": sys.executable,
        "prefix": sys.prefix,
        "version": sys.version.split()[0],
        "kernel_class": kernel_class_name(),
        "seconds": {},
        "origins": {},
        "devices": [],
        "sees_gpu": {},
        "differences": find_version_differences(request["versions"]),
    }  # type: dict[str, Any]
    for name in request["imports"]:
        module = run_timed(report, "import " + name, name)
        report["origins"][name] = getattr(module, "__file__", None)
    if request["code"]:
        run_timed(report, "verify.code", lambda: run_profile_code(request["code"]))
    else:
        run_frameworks(report, request["versions"])
    describers = {"torch": describe_torch, "jax": describe_jax, "tensorflow": describe_tensorflow}
    for name, describe in describers.items():
        if name in sys.modules:
            report["origins"].setdefault(name, sys.modules[name].__file__)
            facts = describe(sys.modules[name])
            devices = facts.pop("devices")
            report["devices"] += devices
            report["sees_gpu"][name] = any(kind == "GPU" for _, kind in devices)
            report.update(facts)
    if keras_backend() and "keras" in sys.modules:
        report["keras"] = sys.modules["keras"].__version__
        report["backend"] = sys.modules["keras"].backend.backend()
    report["colab_problems"] = find_colab_problems()
    report["failed_imports"] = try_imports(report, request["statements"])
    return report


def try_imports(report: "dict[str, Any]", statements: "list[str]") -> "list[list[str]]":
    """Run import statements, each by itself; those that failed as [statement, module that was not found, error]."""
    failed = []
    started = time.perf_counter()
    for statement in statements:
        sys.stdout.write(STEP_PREFIX + statement + "\n")
        sys.stdout.flush()
        try:
            exec(statement, {"__name__": "__main__"})  # noqa: S102 - the notebook's own import
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a package may raise anything
            missing = error.name if isinstance(error, ModuleNotFoundError) else ""
            failed.append([statement, missing or "", f"{type(error).__name__}: {error}"[:500]])
    if statements:
        report["seconds"]["the notebook's imports"] = time.perf_counter() - started
    return failed


def run_page_checks(request: "dict[str, Any]") -> "dict[str, Any]":
    """Do what needs the notebook's page: ask for an input, show a widget and draw plots.

    The request has `versions` (locked version by distribution) and `answer`, what the page answers. The result has the
    identifier of the widget's model, the number of plots that the page must have received, and each step's seconds.
    """
    report = {"seconds": {}, "widget": "", "plots": 0}  # type: dict[str, Any]
    answer = run_timed(report, INPUT_STEP, lambda: input("colabenv: "))
    if answer != request["answer"]:
        raise AssertionError(f"the answer {request['answer']!r} arrived as {answer!r}")
    if "ipywidgets" in request["versions"]:
        report["widget"] = run_timed(report, WIDGET_STEP, show_widget)
    if "matplotlib" in request["versions"]:
        report["plots"] = run_timed(report, PLOT_STEP, draw_plots)
    return report


def show_widget() -> str:
    """Show a widget of ipywidgets, and return the identifier of its model."""
    from IPython.display import display

    widget = importlib.import_module("ipywidgets").IntSlider()
    display(widget)
    identifier = str(widget.model_id)
    widget.close()
    return identifier


def draw_plots() -> int:
    """Draw plots as notebooks do, without and with `%matplotlib inline`; returns their number."""
    from IPython import get_ipython

    matplotlib, pyplot = importlib.import_module("matplotlib"), importlib.import_module("matplotlib.pyplot")
    plots = 1
    # The profile may set another backend, or its verify.code may have.
    if "inline" in matplotlib.get_backend():
        draw_plot(pyplot)
        plots = 2
    get_ipython().run_line_magic("matplotlib", "inline")
    draw_plot(pyplot)
    return plots


def draw_plot(pyplot: "Any") -> None:
    """Draw a line and show it."""
    pyplot.figure(figsize=(2, 1))
    pyplot.plot([1, 2])
    pyplot.show()


def keras_backend() -> str:
    """What Keras 3 runs on, or "" if no variable says so."""
    return os.environ.get("KERAS_BACKEND", "")


def run_frameworks(report: "dict[str, Any]", versions: "dict[str, str]") -> None:
    """Try each locked framework: a sum, and a prediction with Keras."""
    # TensorFlow is last: it works with what the others leave of the GPU's memory, which the first one may take whole.
    if "torch" in versions:
        run_timed(report, "import torch", "torch")
        run_timed(report, "a sum with torch", run_torch_sum)
    if "jax" in versions:
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        run_timed(report, "import jax", "jax")
        run_timed(report, "a sum with jax", run_jax_sum)
    if "tensorflow" in versions or "tensorflow-cpu" in versions:
        tensorflow = run_timed(report, "import tensorflow", "tensorflow")
        run_timed(report, "prediction", lambda: run_prediction(tensorflow.keras))
    elif "keras" in versions and keras_backend():
        keras = run_timed(report, "import keras", "keras")
        run_timed(report, "prediction", lambda: run_prediction(keras))


def run_timed(report: "dict[str, Any]", step: str, work: "Any") -> "Any":
    """Report the step, run it and record its seconds. `work` is a function, or the name of a module to import."""
    sys.stdout.write(STEP_PREFIX + step + "\n")
    sys.stdout.flush()
    started = time.perf_counter()
    result = importlib.import_module(work) if isinstance(work, str) else work()
    # The first import of a module is the one that takes time.
    report["seconds"].setdefault(step, time.perf_counter() - started)
    return result


def run_torch_sum() -> None:
    """Multiply matrices with PyTorch, on the GPU if it sees one."""
    torch = importlib.import_module("torch")
    ones = torch.ones((4, 4), device="cuda" if torch.cuda.is_available() else "cpu")
    require_correct_sum("PyTorch", float((ones @ ones).sum()))


def run_jax_sum() -> None:
    """Multiply matrices with JAX, compiled."""
    jax = importlib.import_module("jax")
    ones = jax.numpy.ones((4, 4))
    require_correct_sum("JAX", float(jax.jit(lambda matrix: (matrix @ matrix).sum())(ones)))


def require_correct_sum(framework: str, total: float) -> None:
    """Fail unless the sum of the product of two 4 by 4 matrices of ones is 64."""
    if total != 64:
        raise AssertionError(f"{framework} computed {total!r} instead of 64")


def run_profile_code(code: str) -> None:
    """Run `verify.code` of the profile, so that a traceback shows its lines."""
    file = "<verify.code>"
    linecache.cache[file] = (len(code), None, code.splitlines(True), file)
    exec(compile(code, file, "exec"), {"__name__": "__main__"})  # noqa: S102 - the profile asks for it


def kernel_class_name() -> str:
    """Full name of the class of the kernel that runs this."""
    from ipykernel.kernelapp import IPKernelApp

    kernel = type(IPKernelApp.instance().kernel)
    return kernel.__module__ + "." + kernel.__qualname__


def find_colab_problems() -> "list[str]":
    """Why modules of `google.colab` cannot be imported, one sentence each; empty if the kernel is without it."""
    problems = []
    for name in COLAB_MODULES if "google.colab" in sys.modules else ():
        try:
            importlib.import_module("google.colab." + name)
        except Exception as error:  # noqa: BLE001 - the environment works without it
            text = str(error)
            problems.append(text if "google.colab." in text else "google.colab.%s: %s" % (name, text))
    return list(dict.fromkeys(problems))


def find_version_differences(versions: "dict[str, str]") -> "list[list[str]]":
    """Distributions that are not as locked, as [name, locked, installed]; installed is "" if it is missing."""
    installed = read_installed_versions()
    return [
        [name, version, installed.get(name, "")]
        for name, version in sorted(versions.items())
        if installed.get(name) != version
    ]


def read_installed_versions() -> "dict[str, str]":
    """Version by normalized name. importlib.metadata does this only since CPython 3.8, and more slowly."""
    versions = {}  # type: dict[str, str]
    for folder in sys.path:
        for entry in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            if entry.endswith((".dist-info", ".egg-info")):
                headers = read_metadata(os.path.join(folder, entry))
                name = re.sub(r"[-_.]+", "-", headers.get("Name", "")).lower()
                # An import takes the first one on the path.
                versions.setdefault(name, headers.get("Version", ""))
    return versions


def read_metadata(info: str) -> "dict[str, str]":
    """The headers of a distribution ("Core metadata specifications"); empty if they cannot be read."""
    headers = {}  # type: dict[str, str]
    for path in (os.path.join(info, "METADATA"), os.path.join(info, "PKG-INFO"), info):
        if os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                for line in file:
                    if not line.strip():
                        break
                    name, _, value = line.partition(":")
                    headers.setdefault(name, value.strip())
            break
    return headers


def run_prediction(keras: "Any") -> None:
    """Send an image through a network with random weights, and check the answer. `keras` may be tensorflow.keras.

    With TensorFlow it is MobileNetV2 of keras.applications. JAX compiles each shape of its weights, which took a minute
    on a busy machine with two cores, so other backends get a network of three layers.
    """
    import numpy

    if keras_backend() in ("", "tensorflow"):
        name, shape, model = "MobileNetV2", (1, 224, 224, 3), keras.applications.MobileNetV2(weights=None)
    else:
        name, shape, layers = "a small network", (1, 8, 8, 3), keras.layers
        model = keras.Sequential(
            [layers.Input(shape[1:]), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()]
        )
        model.add(layers.Dense(1000, activation="softmax"))
    answer = model.predict(numpy.zeros(shape, dtype="float32"), verbose=0)
    total = float(answer.sum())
    if answer.shape != (1, 1000) or not 0.99 < total < 1.01:
        raise AssertionError(f"{name} gave shape {answer.shape!r}, sum {total!r}")


def describe_torch(torch: "Any") -> "dict[str, Any]":
    """The version of PyTorch and the GPUs that it sees."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return {"torch": torch.__version__, "devices": [[f"cuda:{number}", "GPU"] for number in range(count)]}


def describe_jax(jax: "Any") -> "dict[str, Any]":
    """The version of JAX and the GPUs that it sees."""
    gpus = [device for device in jax.devices() if device.platform in ("gpu", "cuda")]
    return {"jax": jax.__version__, "devices": [[str(device), "GPU"] for device in gpus]}


def describe_tensorflow(tensorflow: "Any") -> "dict[str, Any]":
    """The versions of TensorFlow and its Keras, and its devices."""
    devices = [[device.name, device.device_type] for device in list_tensorflow_devices(tensorflow)]
    legacy = os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true")
    # tensorflow.keras is tf-keras then, which has no `__version__`.
    version = None if legacy else getattr(tensorflow.keras, "__version__", None)
    keras = version or read_installed_versions().get("tf-keras" if legacy else "keras", "")
    return {"tensorflow": tensorflow.__version__, "keras": keras, "devices": devices}


def list_tensorflow_devices(tensorflow: "Any") -> "list[Any]":
    """TensorFlow's devices. It has a function for that since 1.14, and under its present name since 2.1."""
    config = getattr(tensorflow, "config", None)
    for place in (config, getattr(config, "experimental", None)):
        list_devices = getattr(place, "list_physical_devices", None)
        if list_devices is not None:
            return list(list_devices())
    from tensorflow.python.client import device_lib

    return list(device_lib.list_local_devices())
