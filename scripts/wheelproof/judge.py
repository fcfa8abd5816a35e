"""Whether what was found in an environment is as it must be. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wheelproof.libraries import Asked

#: Fewest models that any of the lines has; a reading that finds less has not found them all.
_LEAST_MODELS = 30


class NotProvenError(Exception):
    """A release that does not do what it must; the message says what."""


def models(found: dict[str, Any], up: Mapping[str, Any]) -> dict[str, Any]:
    """What models.py found, if it is as it must be.

    Args:
        found: its answer.
        up: the result of `up`.

    Raises:
        NotProvenError: it is not.
    """
    if found["prefix"] != up["environment"] or not found["tensorflow_from"].startswith(
        up["environment"] + "/"
    ):
        raise NotProvenError(
            f"The kernel ran {found['tensorflow_from']} in {found['prefix']}, not in its environment."
        )
    if found["others"]:
        raise NotProvenError(
            f"keras.applications offers what is no model known here: {', '.join(found['others'])}."
        )
    # A submodule may hold helpers alone, as that of MobileNetV3 does; what it holds of models stands above it too.
    alone = {model for models in found["modules"].values() for model in models} - set(found["models"])
    if alone or len(found["models"]) < _LEAST_MODELS:
        raise NotProvenError(
            f"{len(found['models'])} models; in submodules alone: {', '.join(sorted(alone)) or '-'}."
        )
    prediction = found["prediction"]
    if prediction["shape"] != [2, 1000] or any(
        not math.isclose(one, 1, abs_tol=1e-3) for one in prediction["sums"]
    ):
        raise NotProvenError(f"The prediction is none: {prediction}.")
    return found


def cuda(found: Mapping[str, Any], asked: Asked, prefix: Path) -> dict[str, Any]:
    """The record of what cuda.py found, if it is as it must be: all that TensorFlow asks for, from the wheels.

    Raises:
        NotProvenError: it is not.
    """
    inside = f"{prefix.resolve()}/"
    places = {name: said.get("path", said.get("error", "")) for name, said in found["opened"].items()}
    amiss = [f"{name}: {place}" for name, place in places.items() if not place.startswith(inside)]
    if amiss or set(places) != set(asked.needed) or not places:
        raise NotProvenError(
            f"CUDA libraries that do not open from the wheels: {'; '.join(amiss) or 'none was tried'}."
        )
    for_driver = [
        name for name, error in found["wheel_troubles"].items() if error.startswith("libcuda.so.1:")
    ]
    troubles = {name: said for name, said in found["wheel_troubles"].items() if name not in for_driver}
    if troubles:
        raise NotProvenError(f"Libraries of the CUDA wheels that do not open: {troubles}.")
    compilers = {"ptxas": found["ptxas"].get("path", ""), "libdevice": found["libdevice"]}
    absent = [name for name, place in compilers.items() if not place.startswith(inside)]
    if absent or found["compiled"] != 12.0:
        raise NotProvenError(
            f"XLA has not what it compiles with: {absent}, {compilers}, {found['compiled']}."
        )
    return {
        "opened": {name: place.removeprefix(inside) for name, place in places.items()},
        "not_opened": asked.left_out,
        "wheel_libraries_opened": found["wheel_libraries"] - len(for_driver),
        "wheel_libraries_that_need_the_driver": [name.rpartition("/")[2] for name in for_driver],
        "ptxas": found["ptxas"]["release"],
        **{name: place.removeprefix(inside) for name, place in compilers.items() if name == "libdevice"},
    }
