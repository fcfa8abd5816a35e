"""Removed APIs and their replacements: the reader of removed_apis.toml, whose header explains each field."""

from __future__ import annotations

import functools
import importlib.resources
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from packaging.version import InvalidVersion, Version

from colabenv._compat import tomllib

_TF_KERAS: Final = "tensorflow.keras."
_V1: Final = "Code with sessions also needs tf.compat.v1.disable_eager_execution() first."
# Where a module is defined, and its public name.
_PUBLIC: Final = (
    ("keras._tf_keras.keras", "tensorflow.keras"),
    ("keras.api._v2.keras", "tensorflow.keras"),
    ("keras.api._v1.keras", "tensorflow.compat.v1.keras"),
    ("tensorflow._api.v2", "tensorflow"),
    ("tensorflow.compat.v2", "tensorflow"),
)


@dataclass(frozen=True)
class RemovedName:
    """A name that newer releases do not have; the header of removed_apis.toml explains the fields.

    `package` is "module:NAME" if the module was a separate distribution. A `removed_in` of "0" means all releases.
    """

    old: str
    new: str = ""
    package: str = "keras"
    removed_in: str = "0"
    breaks_in: str = ""
    restored_in: str = ""
    namespace: str = ""
    last_tensorflow: str = ""
    renamed: Mapping[str, str] = field(default_factory=dict)
    requires: str = ""
    note: str = ""
    examples: tuple[str, ...] = ()

    def is_missing_in(self, version: str, *, failed: bool = False) -> bool:
        """Whether a release lacks it, or something below it if that `failed`. Unknown versions count as the newest."""
        try:
            installed = Version(version)
        except InvalidVersion:
            return not self.restored_in
        first = self.breaks_in if failed and self.breaks_in else self.removed_in
        restored = bool(self.restored_in) and installed >= Version(self.restored_in)
        return installed >= Version(first) and not restored

    def matches(self, name: str) -> bool:
        """Whether a dotted name is this or below it, under `keras` or `tensorflow.keras`."""
        return self.part_below(name) is not None

    def new_name(self, name: str) -> str:
        """The new name of a matching name; "" if it has no replacement."""
        below = self.part_below(name) or ""
        for old, new in sorted(self.renamed.items(), key=lambda pair: -len(pair[0])):
            if below == old or below.startswith(old + "."):
                return self._in_namespace(name, new + below[len(old) :])
        if not self.new:
            return ""
        return self._in_namespace(name, f"{self.new}.{below}" if below else self.new)

    def _in_namespace(self, name: str, new: str) -> str:
        """The new name below `tensorflow.keras` if the old one was used there."""
        moved = name.startswith(_TF_KERAS) and self.old.startswith("keras.") and new.startswith("keras.")
        return "tensorflow." + new if moved else new

    def part_below(self, name: str) -> str | None:
        """The part of a name below `old`; None for another name."""
        forms = [name]
        if not self.namespace and name.startswith(_TF_KERAS):
            forms.append(name.removeprefix("tensorflow."))
        below = (form[len(self.old) + 1 :] for form in forms if f"{form}.".startswith(f"{self.old}."))
        return next(below, None)


@dataclass(frozen=True)
class RenamedCall:
    """A method or an argument with a new name; removed_apis.toml explains the fields."""

    name: str
    error_kind: str
    message_pattern: str
    usage: str
    removed_in: str
    example: tuple[str, str]
    code_pattern: str
    replacement: str
    last_tensorflow: str = ""
    note: str = ""

    def is_used_by(self, name: str) -> bool:
        """Whether a name that code uses is this method or argument."""
        bare = public_name(name).replace("tensorflow.keras.", "keras.", 1)
        return bool(self.usage) and (fnmatchcase(bare, self.usage) or bare.startswith(self.usage + "."))


@dataclass(frozen=True)
class RemovedApis:
    """All of removed_apis.toml; the longest names come first.

    `introduced` has the first TensorFlow with a name, "2.4"; `keras_2` has names of libraries that need Keras 2.
    """

    names: tuple[RemovedName, ...]
    calls: tuple[RenamedCall, ...]
    introduced: Mapping[str, str]
    keras_2: tuple[str, ...]


@functools.cache
def load_removed_apis() -> RemovedApis:
    """Read removed_apis.toml."""
    file = importlib.resources.files(__package__).joinpath("removed_apis.toml")
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    names = [
        RemovedName(**{**row, "examples": tuple(row.get("examples", ()))})
        for row in (*data["moved"], *data["removed"])
    ]
    for name in data["backend"]["names"]:
        new = f"tensorflow.keras.backend.{name}"
        names.append(RemovedName(f"keras.backend.{name}", new, removed_in="3", namespace="keras"))
    for name in data["v1"]["names"]:
        new = f"tensorflow.compat.v1.{name}"
        names.append(RemovedName(f"tensorflow.{name}", new, "tensorflow", removed_in="2", note=_V1))
    for row in data["numpy"]:
        releases = {name: value for name, value in row.items() if name != "names"}
        names += [RemovedName(f"numpy.{old}", new, "numpy", **releases) for old, new in row["names"].items()]
    calls = tuple(RenamedCall(**{**row, "example": tuple(row["example"])}) for row in data["call"])
    return RemovedApis(
        names=tuple(sorted(names, key=lambda name: -len(name.old))),
        calls=calls,
        introduced=data["introduced"],
        keras_2=tuple(data["keras_2"]["names"]),
    )


def public_name(name: str) -> str:
    """A dotted name as code writes it: `tensorflow.keras.x` for `keras._tf_keras.keras.x`."""
    for real, public in _PUBLIC:
        if f"{name}.".startswith(f"{real}."):
            return public + name[len(real) :]
    return name


def bundled_keras(tensorflow: str) -> str:
    """The Keras of a TensorFlow: the same number from 2.6 to 2.15, before that like 2.3, later 3."""
    numbers = [int(part) for part in re.findall(r"\d+", tensorflow)[:2]]
    if numbers < [2, 6]:
        return "2.3.1"
    return ".".join(map(str, numbers)) if numbers < [2, 16] else "3.0"
