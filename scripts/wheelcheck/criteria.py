"""The criteria that the models and CUDA libraries of a release must meet. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wheelcheck.cuda_libraries import RequestedLibraries

#: The oldest line has this many models.
_MIN_MODELS = 18


class CheckFailedError(Exception):
    """A release failed a check; the message says which."""


def check_models(result: dict[str, Any], up: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of programs/models.py if it is complete and from the right environment.

    Args:
        result: the result of the program.
        up: the result of `colabenv up --json`.

    Raises:
        CheckFailedError: a check failed.
    """
    if result["prefix"] != up["environment"] or not result["tensorflow_from"].startswith(
        up["environment"] + "/"
    ):
        raise CheckFailedError(
            f"The kernel ran {result['tensorflow_from']} in {result['prefix']}, not in its environment."
        )
    if result["others"]:
        raise CheckFailedError(
            f"keras.applications has public names that are not known: {', '.join(result['others'])}."
        )
    # A submodule may hold only helpers (MobileNetV3's does), but every model of one is in keras.applications too.
    missing = {model for models in result["modules"].values() for model in models} - set(result["models"])
    if missing or len(result["models"]) < _MIN_MODELS:
        raise CheckFailedError(
            f"{len(result['models'])} models; only in submodules: {', '.join(sorted(missing)) or '-'}."
        )
    prediction = result["prediction"]
    if prediction["shape"] != [2, 1000] or any(
        not math.isclose(total, 1, abs_tol=1e-3) for total in prediction["sums"]
    ):
        raise CheckFailedError(f"The prediction is invalid: {prediction}.")
    return result


def check_cuda(result: Mapping[str, Any], requested: RequestedLibraries, prefix: Path) -> dict[str, Any]:
    """Return the record of programs/cuda.py if everything that TensorFlow loads opens from the wheels.

    Raises:
        CheckFailedError: a check failed.
    """
    inside = f"{prefix.resolve()}/"
    paths = {name: answer.get("path", answer.get("error", "")) for name, answer in result["opened"].items()}
    failed = [f"{name}: {path}" for name, path in paths.items() if not path.startswith(inside)]
    if failed or set(paths) != set(requested.needed) or not paths:
        raise CheckFailedError(
            f"CUDA libraries do not open from the wheels: {'; '.join(failed) or 'none was tried'}."
        )
    for_driver = [name for name, error in result["wheel_errors"].items() if error.startswith("libcuda.so.1:")]
    errors = {name: error for name, error in result["wheel_errors"].items() if name not in for_driver}
    if errors:
        raise CheckFailedError(f"Libraries of the CUDA wheels do not open: {errors}.")
    compilers = {"ptxas": result["ptxas"].get("path", ""), "libdevice": result["libdevice"]}
    missing = [name for name, path in compilers.items() if not path.startswith(inside)]
    if missing or result["compiled"] != 12.0:
        raise CheckFailedError(
            f"XLA cannot compile; missing: {missing}; found: {compilers}; result: {result['compiled']}."
        )
    return {
        "opened": {name: path.removeprefix(inside) for name, path in paths.items()},
        "not_opened": requested.left_out,
        "wheel_libraries_opened": result["wheel_libraries"] - len(for_driver),
        "wheel_libraries_that_need_the_driver": [name.rpartition("/")[2] for name in for_driver],
        "ptxas": result["ptxas"]["release"],
        "libdevice": compilers["libdevice"].removeprefix(inside),
    }
