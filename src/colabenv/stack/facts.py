"""What each TensorFlow release line takes, read from the metadata of its Linux x86-64 wheels in November 2026.

A later table, generated from the package index, will replace this hand-kept part (docs/decisions.md).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One minor release line of TensorFlow.

    Attributes:
        oldest: lowest minor of CPython 3 with wheels.
        newest: highest minor of CPython 3 with wheels.
        repairs: constraints without which the line's open ranges pick releases it does not run with.
        cudnn: cuDNN of the CUDA 11 wheels for a line whose own CUDA extra is missing or does not resolve;
            "" where `tensorflow[and-cuda]` works.
    """

    oldest: int
    newest: int
    repairs: tuple[str, ...] = ()
    cudnn: str = ""


# setuptools 82 has no pkg_resources any more, which TensorBoard's server imports up to 2.20.
_PKG_RESOURCES = "setuptools<81"

LINES: dict[tuple[int, int], Line] = {
    (2, 8): Line(8, 10, ("numpy<2", "protobuf<3.21", _PKG_RESOURCES), "8.5.0.96"),
    (2, 9): Line(8, 10, ("numpy<2", "protobuf<3.21", _PKG_RESOURCES), "8.6.0.163"),
    (2, 10): Line(8, 10, ("numpy<2", _PKG_RESOURCES), "8.6.0.163"),
    (2, 11): Line(8, 10, ("numpy<2", _PKG_RESOURCES), "8.6.0.163"),
    (2, 12): Line(8, 11, (_PKG_RESOURCES,), "8.6.0.163"),
    (2, 13): Line(8, 11, (_PKG_RESOURCES,), "8.6.0.163"),
    (2, 14): Line(9, 11, ("numpy<2", _PKG_RESOURCES), "8.7.0.84"),
    (2, 15): Line(9, 11, (_PKG_RESOURCES,)),
    (2, 16): Line(9, 12, (_PKG_RESOURCES,)),
    (2, 17): Line(9, 12, (_PKG_RESOURCES,)),
    (2, 18): Line(9, 12, (_PKG_RESOURCES,)),
    (2, 19): Line(9, 12, (_PKG_RESOURCES,)),
    (2, 20): Line(9, 13, (_PKG_RESOURCES,)),
    (2, 21): Line(10, 13),
}

#: The CUDA 11.8 wheels that provide what TensorFlow 2.8 to 2.14 loads, without cuDNN.
CUDA_11 = (
    "nvidia-cuda-runtime-cu11==11.8.89",
    "nvidia-cublas-cu11==11.11.3.6",
    "nvidia-cufft-cu11==10.9.0.58",
    "nvidia-curand-cu11==10.3.0.86",
    "nvidia-cusolver-cu11==11.4.1.48",
    "nvidia-cusparse-cu11==11.7.5.86",
    "nvidia-cuda-cupti-cu11==11.8.87",
    "nvidia-cuda-nvcc-cu11==11.8.89",
    "nvidia-cuda-nvrtc-cu11==11.8.89",
)
