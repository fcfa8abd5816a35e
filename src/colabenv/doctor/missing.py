"""The name that an exception says is not there, as people know it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from colabenv.doctor.model import Complaint
from colabenv.doctor.rewriting import USUAL, dotted_in

_OWN_TOPS: Final = frozenset({"keras", "tensorflow", "tf_keras", "numpy", "sklearn", "scipy"})
_MISSING = re.compile(r"No module named '?(?P<name>[\w.]+)'?")
_CANNOT = re.compile(r"cannot import name '?(?P<leaf>\w+)'?(?: from '(?P<module>[\w.]+)')?")
_ATTRIBUTE = re.compile(r"module '(?P<module>[\w.]+)' has no attribute '(?P<leaf>\w+)'")
_NUMPY = re.compile(r"`np\.(?P<leaf>\w+)` was removed in the NumPy")
_NO_KERAS_3 = re.compile(r"`\w+` is not available with Keras 3")
_REMOVED = re.compile(r"`(?P<leaf>\w+)` has been removed from scikit-learn")
_NO_PACKAGE = re.compile(r"'(?:keras|tensorflow|numpy|sklearn|scipy)' is not a package")
_PRIVATE = re.compile(r"[<'\"]tensorflow\.python\.keras\.|The added layer must be an instance of class Layer")
_LIBRARY = re.compile(r"[\\/](?:site|dist)-packages[\\/](?P<module>\w+)")
# Where the same thing really lies, to the name people know it by.
_PUBLIC: Final = (
    ("keras._tf_keras.keras", "tensorflow.keras"),
    ("keras.api._v2.keras", "tensorflow.keras"),
    ("keras.api._v1.keras", "tensorflow.compat.v1.keras"),
    ("tensorflow._api.v2", "tensorflow"),
    ("tensorflow.compat.v2", "tensorflow"),
)


def names_in(complaint: Complaint) -> Iterator[str]:
    """The dotted names that an exception may be about, the most exact first."""
    missing = _missing(complaint)
    if not missing:
        return
    written = dotted_in(complaint.statement, USUAL)
    spoken = [*written, *(public(name) for name in written)]
    for folder in (missing, "tensorflow." + missing):
        yield from (name for name in spoken if name == folder or name.startswith(folder + "."))
    yield missing


def _missing(complaint: Complaint) -> str:
    """The name that was not there, as people know it; "" where the exception is about something else."""
    message = complaint.message
    if _NO_PACKAGE.search(message):
        return ""  # a file of that name stands in front of it
    if complaint.kind in {"ModuleNotFoundError", "ImportError"}:
        return _of_import(message, complaint.statement)
    if complaint.kind == "AttributeError":
        return _of_attribute(message, complaint.text)
    private = _PRIVATE.search(message) and complaint.kind in {"ValueError", "TypeError"}
    return "tensorflow.python.keras" if private else ""


def _of_import(message: str, statement: str) -> str:
    if found := _MISSING.search(message):
        return public(found["name"])
    if found := _REMOVED.search(message):
        return f"sklearn.datasets.{found['leaf']}"
    if (found := _CANNOT.search(message)) and "partially initialized" not in message:
        return _imported(found["leaf"], found["module"], statement)
    return ""


def _of_attribute(message: str, text: str) -> str:
    if found := _ATTRIBUTE.search(message):
        return public(f"{found['module']}.{found['leaf']}")
    if found := _NUMPY.search(message):
        return f"numpy.{found['leaf']}"
    if _NO_KERAS_3.search(message):
        rnn = "rnn_cell" in text or "Cell" in message
        return "tensorflow.compat.v1.nn.rnn_cell" if rnn else "tensorflow.compat.v1.layers"
    return ""


def _imported(leaf: str, module: str | None, statement: str) -> str:
    """The full name of what `cannot import name` is about; old Pythons do not say from where."""
    if module:
        return public(f"{module}.{leaf}")
    return next((name for name in dotted_in(statement, USUAL) if name.endswith("." + leaf)), "")


def public(name: str) -> str:
    """A dotted name as people write it: `tensorflow.keras.x` for `keras._tf_keras.keras.x`."""
    for real, public in _PUBLIC:
        if name == real or name.startswith(real + "."):
            return public + name[len(real) :]
    return name


def library_of(complaint: Complaint) -> str:
    """The top-level module of the installed package that raised it, or "" where the person's code did."""
    files = [file for file, _, _ in complaint.frames if "importlib" not in file]
    found = _LIBRARY.search(files[-1]) if files else None
    return found["module"] if found and found["module"] not in _OWN_TOPS else ""
