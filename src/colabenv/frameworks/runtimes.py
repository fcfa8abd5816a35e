"""What Colab's runtimes shipped: the reader of frameworks/colab, whose files say where they come from."""

from __future__ import annotations

import functools
import importlib.resources
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Runtime:
    """One Colab release.

    Attributes:
        name: "colab-2025.07".
        python: minor of its base Python, "3.11".
        cpu: normalised name to version, on a machine without a GPU.
        gpu: likewise, with one.
    """

    name: str
    python: str
    cpu: dict[str, str]
    gpu: dict[str, str]

    def packages(self, variant: str) -> dict[str, str]:
        """Normalised name to version of a variant, "cpu" or "gpu"."""
        return self.gpu if variant == "gpu" else self.cpu


@functools.cache
def load_runtime(name: str) -> Runtime:
    """A runtime that is carried.

    Args:
        name: "colab-2025.07", one of `profile.times.RUNTIMES`.
    """
    folder = importlib.resources.files(__package__).joinpath("colab")
    file = folder.joinpath(f"{name.removeprefix('colab-')}.txt")
    return parse_runtime(name, file.read_text(encoding="utf-8"))


def parse_runtime(name: str, text: str) -> Runtime:
    """Read a runtime.

    Args:
        name: "colab-2025.07".
        text: content of its file.

    Raises:
        ValueError: it does not say its Python, or a line is no pin.
        KeyError: a section is none of "both", "cpu" and "gpu".
    """
    python = re.search(r"Base Python (\d\.\d+)\.", text)
    if python is None:
        raise ValueError(f"{name}: no base Python is named")
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
