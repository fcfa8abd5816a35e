"""Import every model of tensorflow.keras.applications and predict with one. Runs in a kernel.

The sender defines `answer_file`, where the answer is written as JSON.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import sys
import time
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

PACKAGE = "tensorflow.keras.applications"
#: Public functions of the modules that are not models.
HELPERS = {"preprocess_input", "decode_predictions"}
SIDE, CLASSES, IMAGES = 224, 1000, 2


def collect() -> dict[str, Any]:
    """The result that criteria.check_models reads."""
    started = time.perf_counter()
    applications = importlib.import_module(PACKAGE)
    result: dict[str, Any] = {"seconds": {"import": time.perf_counter() - started}}
    names = {info.name for info in pkgutil.iter_modules(applications.__path__)}
    names |= {
        name for name, value in vars(applications).items() if is_public(name) and inspect.ismodule(value)
    }
    modules = {
        name: importlib.import_module(PACKAGE + "." + name) for name in sorted(names) if is_public(name)
    }
    result["models"] = import_models(PACKAGE, applications)
    result["modules"] = {
        name: import_models(PACKAGE + "." + name, module) for name, module in modules.items()
    }
    result["others"] = [
        name for module in (applications, *modules.values()) for name in find_unknown_names(module)
    ]
    started = time.perf_counter()
    result["prediction"] = predict()
    result["seconds"]["prediction"] = time.perf_counter() - started
    result.update(read_versions())
    return result


def is_public(name: str) -> bool:
    return not name.startswith("_")


def is_model(name: str, value: Any) -> bool:
    """Whether it is a function that builds a network, with a parameter for the weights to load.

    Up to TensorFlow 2.1, a wrapper without named parameters hides it.
    """
    if not callable(value) or inspect.isclass(value):
        return False
    parameters = inspect.signature(value).parameters
    return "weights" in parameters or (name[0].isupper() and set(parameters) == {"args", "kwargs"})


def import_models(name: str, module: ModuleType) -> list[str]:
    """The names of a module's models, after importing each as a user does."""
    models = sorted(name for name, value in vars(module).items() if is_public(name) and is_model(name, value))
    for model in models:
        exec("from %s import %s" % (name, model), {})  # noqa: S102, UP031 - the statement itself is tested
    return models


def find_unknown_names(module: ModuleType) -> list[str]:
    """Public names that are neither models, helpers nor modules."""
    return [
        module.__name__ + "." + name
        for name, value in vars(module).items()
        if is_public(name)
        and name not in HELPERS
        and not inspect.ismodule(value)
        and not is_model(name, value)
    ]


def predict() -> dict[str, Any]:
    """Run two random images through MobileNetV2 with random weights."""
    import numpy  # noqa: PLC0415 - TensorFlow is imported first, as its import is tested too
    import tensorflow  # noqa: PLC0415

    model = tensorflow.keras.applications.MobileNetV2(weights=None)
    images = numpy.random.RandomState(0).uniform(-1, 1, (IMAGES, SIDE, SIDE, 3)).astype("float32")
    result = model.predict(images, verbose=0)
    return {"model": "MobileNetV2", "shape": list(result.shape), "sums": [float(row.sum()) for row in result]}


def find_keras_version() -> str:
    """The version of the package `keras`, or of TensorFlow's own Keras on Python 3.7 and where there is no package."""
    try:
        return str(importlib.import_module("importlib.metadata").version("keras"))
    except ImportError:  # PackageNotFoundError is one
        version = importlib.import_module("tensorflow").keras.__version__
        return str(version).replace("-tf", "")


def read_versions() -> dict[str, str]:
    """The versions that ran, and from where."""
    import numpy  # noqa: PLC0415
    import tensorflow  # noqa: PLC0415

    return {
        "python": sys.version.split()[0],
        "tensorflow": tensorflow.__version__,
        # Up to TensorFlow 2.5, Keras is part of it and its version ends in "-tf".
        "keras": find_keras_version(),
        "numpy": numpy.__version__,
        "tensorflow_from": tensorflow.__file__,
        "prefix": sys.prefix,
    }


Path(answer_file).write_text(json.dumps(collect()), encoding="utf-8")  # type: ignore[name-defined] # noqa: F821
