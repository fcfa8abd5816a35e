"""The name that an exception reports as missing, as code writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from colabenv.doctor.code_edits import dotted_names_in
from colabenv.doctor.model import ErrorReport
from colabenv.frameworks.removed_apis import public_name

_FRAMEWORK_MODULES: Final = frozenset({"keras", "tensorflow", "tf_keras", "numpy", "sklearn", "scipy"})
_NO_MODULE = re.compile(r"No module named '?(?P<name>[\w.]+)'?")
_CANNOT_IMPORT = re.compile(r"cannot import name '?(?P<leaf>\w+)'?(?: from '(?P<module>[\w.]+)')?")
_NO_ATTRIBUTE = re.compile(r"module '(?P<module>[\w.]+)' has no attribute '(?P<leaf>\w+)'")
_NUMPY = re.compile(r"`np\.(?P<leaf>\w+)` was removed in the NumPy")
_NOT_IN_KERAS_3 = re.compile(r"`\w+` is not available with Keras 3")
_SKLEARN = re.compile(r"`(?P<leaf>\w+)` has been removed from scikit-learn")
_NOT_A_PACKAGE = re.compile(r"'(?:keras|tensorflow|numpy|sklearn|scipy)' is not a package")
_PRIVATE = re.compile(r"[<'\"]tensorflow\.python\.keras\.|The added layer must be an instance of class Layer")
_LIBRARY = re.compile(r"[\\/](?:site|dist)-packages[\\/](?P<module>\w+)")


def find_missing_names(error: ErrorReport) -> Iterator[str]:
    """The dotted names that an exception may be about, the most exact first."""
    missing = _missing_name(error)
    if not missing:
        return
    names_in_code = dotted_names_in(error.statement)
    names = [*names_in_code, *map(public_name, names_in_code)]
    for module in (missing, "tensorflow." + missing):
        yield from (name for name in names if name == module or name.startswith(module + "."))
    yield missing


def _missing_name(error: ErrorReport) -> str:
    """The missing name as code writes it; "" if the exception is about something else."""
    message = error.message
    if _NOT_A_PACKAGE.search(message):
        return ""  # a file of that name hides the package
    if error.kind in {"ModuleNotFoundError", "ImportError"}:
        return _from_import_error(message, error.statement)
    if error.kind == "AttributeError":
        return _from_attribute_error(message, error.text)
    is_private = error.kind in {"ValueError", "TypeError"} and _PRIVATE.search(message)
    return "tensorflow.python.keras" if is_private else ""


def _from_import_error(message: str, statement: str) -> str:
    if match := _NO_MODULE.search(message):
        return public_name(match["name"])
    if match := _SKLEARN.search(message):
        return f"sklearn.datasets.{match['leaf']}"
    match = _CANNOT_IMPORT.search(message)
    if not match or "partially initialized" in message:
        return ""
    if match["module"]:
        return public_name(f"{match['module']}.{match['leaf']}")
    # Old Pythons do not name the module.
    return next((name for name in dotted_names_in(statement) if name.endswith("." + match["leaf"])), "")


def _from_attribute_error(message: str, text: str) -> str:
    if match := _NO_ATTRIBUTE.search(message):
        return public_name(f"{match['module']}.{match['leaf']}")
    if match := _NUMPY.search(message):
        return f"numpy.{match['leaf']}"
    if _NOT_IN_KERAS_3.search(message):
        rnn = "rnn_cell" in text or "Cell" in message
        return "tensorflow.compat.v1.nn.rnn_cell" if rnn else "tensorflow.compat.v1.layers"
    return ""


def find_library(error: ErrorReport) -> str:
    """The top-level module of the installed package that raised it, or "" for the person's own code."""
    files = [file for file, _, _ in error.frames if "importlib" not in file]
    match = _LIBRARY.search(files[-1]) if files else None
    return match["module"] if match and match["module"] not in _FRAMEWORK_MODULES else ""
