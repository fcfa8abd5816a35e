"""Sent to a kernel: import every model of tensorflow.keras.applications, and let one predict.

`question` and `answer_file` are set before this text; the answer is written as JSON.
"""

from __future__ import annotations

import importlib
import importlib.metadata
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
#: What the modules offer besides models.
HELPERS = {"preprocess_input", "decode_predictions"}
SIDE, CLASSES, IMAGES = 224, 1000, 2


def answer() -> dict[str, Any]:
    """What was found; judged by wheelproof.proof."""
    started = time.perf_counter()
    applications = importlib.import_module(PACKAGE)
    found: dict[str, Any] = {"seconds": {"import": time.perf_counter() - started}}
    names = {info.name for info in pkgutil.iter_modules(applications.__path__)}
    names |= {name for name, value in vars(applications).items() if offered(name) and inspect.ismodule(value)}
    modules = {name: importlib.import_module(PACKAGE + "." + name) for name in sorted(names) if offered(name)}
    found["models"] = models_of(PACKAGE, applications)
    found["modules"] = {name: models_of(PACKAGE + "." + name, module) for name, module in modules.items()}
    found["others"] = [name for module in (applications, *modules.values()) for name in others_of(module)]
    started = time.perf_counter()
    found["prediction"] = predict()
    found["seconds"]["prediction"] = time.perf_counter() - started
    found.update(versions())
    return found


def offered(name: str) -> bool:
    return not name.startswith("_")


def is_model(value: Any) -> bool:
    """A function that builds a network: it asks which weights to load."""
    return callable(value) and not inspect.isclass(value) and "weights" in inspect.signature(value).parameters


def models_of(name: str, module: ModuleType) -> list[str]:
    """The models of a module, each imported by the statement that people write."""
    models = sorted(name for name, value in vars(module).items() if offered(name) and is_model(value))
    for model in models:
        exec("from %s import %s" % (name, model), {})  # noqa: S102, UP031 - the statement is what is tried
    return models


def others_of(module: ModuleType) -> list[str]:
    """Public names that are neither a model, a helper nor a module: things that this cell does not know."""
    return [
        module.__name__ + "." + name
        for name, value in vars(module).items()
        if offered(name) and name not in HELPERS and not inspect.ismodule(value) and not is_model(value)
    ]


def predict() -> dict[str, Any]:
    """Two random images through MobileNetV2 with random weights."""
    import numpy  # noqa: PLC0415 - after tensorflow, as its own import is part of what is tried
    import tensorflow  # noqa: PLC0415

    model = tensorflow.keras.applications.MobileNetV2(weights=None)
    images = numpy.random.RandomState(0).uniform(-1, 1, (IMAGES, SIDE, SIDE, 3)).astype("float32")
    result = model.predict(images, verbose=0)
    return {"model": "MobileNetV2", "shape": list(result.shape), "sums": [float(row.sum()) for row in result]}


def versions() -> dict[str, str]:
    """What ran."""
    import numpy  # noqa: PLC0415
    import tensorflow  # noqa: PLC0415

    return {
        "python": sys.version.split()[0],
        "tensorflow": tensorflow.__version__,
        "keras": importlib.metadata.version("keras"),
        "numpy": numpy.__version__,
        "tensorflow_from": tensorflow.__file__,
        "prefix": sys.prefix,
    }


Path(answer_file).write_text(json.dumps(answer()), encoding="utf-8")  # type: ignore[name-defined] # noqa: F821
