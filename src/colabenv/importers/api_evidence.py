"""Names in code that not all releases of its packages have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from packaging.version import Version

from colabenv.frameworks.facts import TensorFlowRelease
from colabenv.frameworks.removed_apis import bundled_keras, load_removed_apis, public_name
from colabenv.importers.name_usages import NameUsage

#: Packages other than the frameworks whose removed names the table has, and the modules that code imports.
LIBRARIES: Final = {"numpy": "numpy", "scikit-learn": "sklearn", "scipy": "scipy"}


#: What works without tf.enable_eager_execution() in TensorFlow 2 only.
_EAGER_BY_DEFAULT: Final = frozenset({".numpy", "tensorflow.GradientTape"})


@dataclass(frozen=True)
class ApiUse:
    """A name that code uses.

    Attributes:
        name: as code has it, without aliases: "tensorflow.Session".
        location: where it is: "cell 3".
        package: whose releases decide: "tensorflow", "keras", "numpy", "scikit-learn" or "scipy".
        removed_in: the first release without it, or "".
        restored_in: the first release that has it again, or "".
        introduced_in: the first TensorFlow that has it, or "".
    """

    name: str
    location: str
    package: str
    removed_in: str = ""
    restored_in: str = ""
    introduced_in: str = ""

    def exists_in(self, release: TensorFlowRelease) -> bool:
        """Whether a release of TensorFlow, or the Keras that belongs to it, has the name."""
        version = Version(release.version)
        if self.introduced_in:
            return version >= Version(self.introduced_in)
        own = Version(bundled_keras(release.version)) if self.package == "keras" else version
        restored = bool(self.restored_in) and own >= Version(self.restored_in)
        return own < Version(self.removed_in) or restored

    @property
    def short_name(self) -> str:
        """The name for messages: "tf.Session"."""
        bare = self.name.replace("(", " with ").rstrip("=)")
        return bare.replace("tensorflow.", "tf.", 1) if bare.startswith("tensorflow.") else bare.lstrip(".")


def find_api_uses(usages: Iterable[NameUsage]) -> list[ApiUse]:
    """The names of removed_apis.toml that code uses, each once."""
    usages = list(usages)
    roots = {public_name(usage.name).split(".")[0] for usage in usages}
    uses_keras = not roots.isdisjoint({"keras", "tensorflow"})
    uses: dict[str, ApiUse] = {}
    is_eager = any(usage.name.endswith(".enable_eager_execution") for usage in usages)
    for usage in usages:
        if usage.name in _EAGER_BY_DEFAULT and uses_keras and not is_eager:
            uses.setdefault(usage.name, ApiUse(usage.name, usage.location, "tensorflow", introduced_in="2.0"))
        if use := _match_name(usage) or (_match_call(usage) if uses_keras else None):
            uses.setdefault(use.name, use)
    return list(uses.values())


def _match_name(usage: NameUsage) -> ApiUse | None:
    name = public_name(usage.name)
    if "." not in name or name.startswith((".", "%")) or "(" in name:
        return None
    if usage.name.startswith("tensorflow.compat.v2.enable_v2"):
        return None  # it exists there
    for row in load_removed_apis().names:
        if row.package.startswith("module:") or row.removed_in == "0" or not row.matches(name):
            continue
        return ApiUse(name, usage.location, row.package, row.removed_in, row.restored_in)
    parts = name.split(".")
    introduced = load_removed_apis().introduced
    dotted = (".".join(parts[:length]) for length in range(len(parts), 1, -1))
    known = next((prefix for prefix in dotted if prefix in introduced), "")
    return ApiUse(name, usage.location, "tensorflow", introduced_in=introduced[known]) if known else None


def _match_call(usage: NameUsage) -> ApiUse | None:
    for call in load_removed_apis().calls:
        if call.is_used_by(usage.name):
            return ApiUse(usage.name, usage.location, "keras", call.removed_in)
    return None


def find_keras_2_use(usages: Iterable[NameUsage]) -> str:
    """The first use of a library that is built on Keras 2, as part of a sentence, or ""."""
    names = load_removed_apis().keras_2
    for usage in usages:
        if any(f"{usage.name}.".startswith(f"{name}.") for name in names):
            return f"{usage.location} uses {usage.name}, which needs Keras 2"
    return ""


def find_requested_major(usages: Iterable[NameUsage]) -> tuple[str, str]:
    """What the last `%tensorflow_version` asks for as a PEP 440 specifier, and where, or ""."""
    magics = [usage for usage in usages if usage.name.startswith("%tensorflow_version ")]
    if not magics:
        return "", ""
    argument = magics[-1].name.split()[1]
    specifier = "<2" if argument.startswith("1") else ">=2" if argument.startswith("2") else ""
    return specifier, f"{magics[-1].location} has %tensorflow_version {argument}"
