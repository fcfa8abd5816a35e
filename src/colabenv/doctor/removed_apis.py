"""APIs that were removed, and what replaced them: the reader of removed_apis.toml, whose header explains each field."""

from __future__ import annotations

import functools
import importlib.resources
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

_TF_KERAS: Final = "tensorflow.keras."
#: In place of a version: gone in all of them.
_ALWAYS: Final = "0"


@dataclass(frozen=True)
class Name:
    """A name that newer releases do not have.

    Attributes:
        old: dotted; what is below it is meant too.
        new: what stands there now, or "" where nothing does.
        package: the distribution whose release decides; "module:NAME" where the module was a distribution of its own.
        gone: first release without it.
        breaks: first release in which some of what is below it is missing, where that is before `gone`.
        until: first release for which this does not hold any more, or "".
        where: "keras", "tensorflow.keras", or "" for both.
        tensorflow: the newest TensorFlow that has it and that colabenv can build, or "".
        renamed: names below `old` that did not just move, to what they are now.
        needs: what has to be installed for `new`, PEP 508, or "".
        note: what else is to be known, or "".
        examples: names below `old` that people use; "" for itself.
    """

    old: str
    new: str = ""
    package: str = "keras"
    gone: str = _ALWAYS
    breaks: str = ""
    until: str = ""
    where: str = ""
    tensorflow: str = ""
    renamed: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""
    note: str = ""
    examples: tuple[str, ...] = ()

    def holds(self, version: str, *, failed: bool = False) -> bool:
        """Whether a release lacks it. A version that is not known counts as today's.

        Args:
            version: the release.
            failed: whether something below the name was seen to be missing.
        """
        if not version:
            return not self.until
        try:
            installed = Version(version)
        except ValueError:
            return not self.until
        first = self.breaks if failed and self.breaks else self.gone
        return installed >= Version(first) and not (self.until and installed >= Version(self.until))

    def matches(self, name: str) -> bool:
        """Whether a dotted name is this or below it, under `keras` or `tensorflow.keras`."""
        return self.below(name) is not None

    def becomes(self, name: str) -> str:
        """What a matching name is called now; "" where it has no successor."""
        below = self.below(name) or ""
        for old, new in sorted(self.renamed.items(), key=lambda pair: -len(pair[0])):
            if below == old or below.startswith(old + "."):
                return self._under(name, new + below[len(old) :])
        if not self.new:
            return ""
        return self._under(name, f"{self.new}.{below}" if below else self.new)

    def _under(self, name: str, new: str) -> str:
        """The new name under `tensorflow.keras` where the old one was used there."""
        moved = name.startswith(_TF_KERAS) and self.old.startswith("keras.") and new.startswith("keras.")
        return "tensorflow." + new if moved else new

    def below(self, name: str) -> str | None:
        """The part of a name below `old`; None where it is another name."""
        forms = {name}
        if self.where != "tensorflow.keras" and name.startswith(_TF_KERAS):
            forms = {name, "keras." + name[len(_TF_KERAS) :]} if self.where != "keras" else {name}
        for form in forms:
            if form == self.old or form.startswith(self.old + "."):
                return form[len(self.old) + 1 :]
        return None


@dataclass(frozen=True)
class Call:
    """A method or an argument that has another name now.

    Attributes:
        what: for people.
        kind: class of the exception, a regular expression.
        pattern: found in its message, a regular expression.
        uses: as `Usage.name` has it, `*` for any; "" where code does not tell.
        gone: first release of Keras without it.
        tensorflow: as `Name.tensorflow`.
        shown: what was written, and what is written now, for people.
        was: regular expression for the line of code, "" where a line alone does not tell.
        becomes: what replaces it.
        note: what else is to be known, or "".
    """

    what: str
    kind: str
    pattern: str
    uses: str
    gone: str
    shown: tuple[str, str]
    was: str
    becomes: str
    tensorflow: str = ""
    note: str = ""


@dataclass(frozen=True)
class RemovedApis:
    """All of removed_apis.toml.

    Attributes:
        names: the longest first.
        calls: in the file's order.
    """

    names: tuple[Name, ...]
    calls: tuple[Call, ...]


@functools.cache
def removed_apis() -> RemovedApis:
    """The table that ships."""
    return parse(
        importlib.resources.files(__package__).joinpath("removed_apis.toml").read_text(encoding="utf-8")
    )


def parse(text: str) -> RemovedApis:
    """Read the text of removed_apis.toml."""
    data = tomllib.loads(text)
    names = [_name(row) for row in (*data["moved"], *data["gone"])]
    names += [
        Name(f"keras.backend.{name}", f"tensorflow.keras.backend.{name}", gone="3", where="keras")
        for name in data["backend"]["names"]
    ]
    names += [
        Name(f"tensorflow.{name}", f"tensorflow.compat.v1.{name}", package="tensorflow", gone="2", note=_V1)
        for name in data["v1"]["names"]
    ]
    for row in data["numpy"]:
        names += [
            Name(f"numpy.{old}", new, package="numpy", gone=row["gone"], until=row.get("until", ""))
            for old, new in row["names"].items()
        ]
    calls = tuple(Call(**{**row, "shown": tuple(row["shown"])}) for row in data["call"])
    return RemovedApis(tuple(sorted(names, key=lambda one: -len(one.old))), calls)


_V1: Final = (
    "It is TensorFlow 1's; code with sessions also needs tf.compat.v1.disable_eager_execution() first."
)


def _name(row: Mapping[str, Any]) -> Name:
    return Name(**{**row, "examples": tuple(row.get("examples", ()))})
