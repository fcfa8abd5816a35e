"""Read the packages of Colab's runtimes from the files in frameworks/colab, which name their source."""

from __future__ import annotations

import functools
import importlib.resources
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Runtime:
    """A Colab runtime.

    Attributes:
        name: "colab-2025.07".
        python: minor of its base Python, "3.11".
        cpu: versions by canonical name on a machine without a GPU.
        gpu: versions by canonical name on a machine with a GPU.
    """

    name: str
    python: str
    cpu: dict[str, str]
    gpu: dict[str, str]

    def packages(self, variant: str) -> dict[str, str]:
        """Versions by canonical name of a variant, "cpu" or "gpu"."""
        return self.gpu if variant == "gpu" else self.cpu


@functools.cache
def load_runtime(name: str) -> Runtime:
    """Read the file of a runtime; `name` is one of `profile.times.RUNTIMES`, such as "colab-2025.07"."""
    folder = importlib.resources.files(__package__).joinpath("colab")
    file = folder.joinpath(f"{name.removeprefix('colab-')}.txt")
    return parse_runtime(name, file.read_text(encoding="utf-8"))


def parse_runtime(name: str, text: str) -> Runtime:
    """Parse the file of a runtime.

    Args:
        name: "colab-2025.07".
        text: content of the file.

    Raises:
        ValueError: the file does not name its base Python, or has a line that is not a pin.
        KeyError: a section is not "both", "cpu" or "gpu".
    """
    python = re.search(r"Base Python (\d\.\d+)\.", text)
    if python is None:
        raise ValueError(f"{name}: the file does not name a base Python")
    sections: dict[str, dict[str, str]] = {"both": {}, "cpu": {}, "gpu": {}}
    section = sections["both"]
    for line in text.splitlines():
        if line.startswith("["):
            section = sections[line.strip("[]")]
        elif not line.startswith("#"):
            package, version = line.split("==")
            section[package] = version
    both = sections["both"]
    return Runtime(name, python[1], both | sections["cpu"], both | sections["gpu"])
