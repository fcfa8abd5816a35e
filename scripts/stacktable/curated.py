"""Facts that no metadata of a wheel contains, with their sources. The rest of the table is read from the index."""

from __future__ import annotations

from dataclasses import dataclass

#: The sources of the facts below, for the table's header.
SOURCES = (
    "[[build]] cuda, cudnn: from 2.8 on, the names of the libraries that the wheels load (measured November 2026); for",
    "  1.13 to 2.7, from general knowledge and not checked against a source.",
    "[[build]] kernels, ptx: from general knowledge, in agreement with the public build scripts that were found; the",
    "  newest PTX was checked in the wheels from 2.8 on (measured November 2026).",
    "[[build]] gpu_trouble: the names of the libraries that the release loads, compared with those in wheels.",
    "[[build]] repairs: installed and imported, with and without (measured November 2026, 1.13 to 2.3, 2.8 to 2.21);",
    "  up to 2.3, one step of training, a prediction with MobileNetV2 and a saved model as well. 2.5 to 2.7 were not",
    "  installed; they have the repairs of 2.8, which has the same open ranges.",
    "[[tensorflow]] cuda_pins: loaded with a stand-in for the driver (measured November 2026, 2.8 to 2.13); 2.5 to 2.7",
    "  load libraries with the same names. That each pin has a wheel is read from the index.",
    "[[cuda]] driver: the minimum driver for Linux x86-64; for CUDA 11 and 12, from NVIDIA's pages on CUDA",
    "  compatibility; for 13, not checked against a source.",
    "[[cuda]] oldest, newest: the compute capabilities that each release supports; not checked against a source.",
    "[[repair]]: installed and imported on the CPU, with and without (measured November 2026), except where `why` says",
    "  that it was not measured.",
    '[[keras_backends]] read = "curated": requirements.txt in the repository of Keras, 3.0 to 3.8.',
    "keras: up to 2.4, by training, saving and predicting with each and TensorFlow 1.13 to 2.4 (measured November",
    "  2026); 2.4 with TensorFlow 2.5 only a convolution. From 2.6 on, TensorFlow declares its Keras.",
    "tensorflow-hub: the version that its code checks for.",
    "tensorflow-datasets: 4.8 and newer declare TensorFlow 2.1; its import fails with it (measured November 2026).",
    "tensorflow-addons: before 0.12, the releases that its README lists; imported with them (measured November 2026).",
    "tensorflow-probability: the TensorFlow that each release is known to work with, and newer ones; it declares none",
    "  outside an extra. Its release notes were not read again.",
)


@dataclass(frozen=True)
class Build:
    """How the official wheels of one or more minor lines were built."""

    lines: tuple[str, ...]  #: minor lines, "2.16"
    cuda: str
    cudnn: str
    kernels: tuple[str, ...]  #: compute capabilities with compiled kernels
    ptx: str  #: compute capability of the PTX, which drivers compile for newer GPUs
    repairs: tuple[str, ...]  #: constraints that exclude versions with which the line does not run
    cudnn_pin: str = ""  #: cuDNN wheel for a line without its own CUDA extra
    gpu_trouble: str = ""  #: why the line finds no GPU with any wheels


_TO_AMPERE = ("3.5", "5.0", "6.0", "7.0", "7.5", "8.0")
_NO_KEPLER = _TO_AMPERE[1:]
_PROTOBUF = "protobuf<3.21"
#: setuptools 82 has no pkg_resources, which TensorBoard's server imports; 2.21 does not require TensorBoard.
_PKG_RESOURCES = "setuptools<81"
_NUMPY = "numpy<2"

#: A release without GPU support: the package index has the wheels of CUDA 11.7 and newer.
_CUDA_10 = "it needs CUDA {}, of which the package index has no wheels"
#: h5py 3 returns text where these read bytes: load_model fails with `'str' object has no attribute 'decode'`.
_H5PY = "h5py<3"
#: With NumPy 1.20 and newer, LSTM and GRU fail: `Cannot convert a symbolic Tensor (lstm/strided_slice:0) to a numpy
#: array`. The last patch releases of these lines declare this limit themselves.
_NUMPY_1_18 = "numpy<1.19"

BUILDS = (
    # Its datasets imdb and reuters fail with NumPy 1.16.3 and newer: `Object arrays cannot be loaded when
    # allow_pickle=False`.
    Build(
        ("1.13",),
        "10.0",
        "7.4",
        (),
        "",
        ("numpy<1.16.3", _PROTOBUF, _H5PY),
        gpu_trouble=_CUDA_10.format("10.0"),
    ),
    Build(("1.14",), "10.0", "7.4", (), "", (_PROTOBUF, _H5PY), gpu_trouble=_CUDA_10.format("10.0")),
    Build(
        ("1.15", "2.0"),
        "10.0",
        "7.6",
        (),
        "",
        (_NUMPY_1_18, _PROTOBUF, _H5PY),
        gpu_trouble=_CUDA_10.format("10.0"),
    ),
    Build(
        ("2.1",), "10.1", "7.6", (), "", (_NUMPY_1_18, _PROTOBUF, _H5PY), gpu_trouble=_CUDA_10.format("10.1")
    ),
    Build(("2.2",), "10.1", "7.6", (), "", (_NUMPY_1_18, _PROTOBUF), gpu_trouble=_CUDA_10.format("10.1")),
    Build(("2.3",), "10.1", "7.6", (), "", (_PROTOBUF,), gpu_trouble=_CUDA_10.format("10.1")),
    Build(
        ("2.4",),
        "11.0",
        "8.0",
        _TO_AMPERE,
        "8.0",
        (_PROTOBUF, _PKG_RESOURCES),
        gpu_trouble="it loads libcusolver.so.10, which no wheel contains",
    ),
    Build(("2.5",), "11.2", "8.1", _TO_AMPERE, "8.0", (_PROTOBUF, _PKG_RESOURCES), "8.5.0.96"),
    # Its `keras~=2.6` admits every later Keras 2.
    Build(
        ("2.6",),
        "11.2",
        "8.1",
        _TO_AMPERE,
        "8.0",
        ("keras<2.7", "tensorflow-estimator<2.7", _PROTOBUF, _PKG_RESOURCES),
        "8.5.0.96",
    ),
    Build(("2.7", "2.8"), "11.2", "8.1", _TO_AMPERE, "8.0", (_NUMPY, _PROTOBUF, _PKG_RESOURCES), "8.5.0.96"),
    Build(("2.9",), "11.2", "8.1", _TO_AMPERE, "8.0", (_NUMPY, _PROTOBUF, _PKG_RESOURCES), "8.6.0.163"),
    Build(("2.10", "2.11"), "11.2", "8.1", _TO_AMPERE, "8.0", (_NUMPY, _PKG_RESOURCES), "8.6.0.163"),
    Build(("2.12", "2.13"), "11.8", "8.6", _TO_AMPERE, "8.0", (_PKG_RESOURCES,), "8.6.0.163"),
    Build(("2.14",), "11.8", "8.7", _TO_AMPERE, "8.0", (_NUMPY, _PKG_RESOURCES)),
    Build(("2.15",), "12.2", "8.9", _NO_KEPLER, "8.0", (_PKG_RESOURCES,)),
    Build(("2.16", "2.17"), "12.3", "8.9", ("5.0", "6.0", "7.0", "8.0"), "9.0", (_PKG_RESOURCES,)),
    Build(("2.18", "2.19", "2.20"), "12.5", "9.3", ("6.0", "7.0", "8.0", "8.9"), "9.0", (_PKG_RESOURCES,)),
    Build(("2.21",), "12.5", "9.3", ("6.0", "7.0", "8.0", "8.9"), "9.0", ()),
)

#: The wheels of CUDA 11.8, without cuDNN, for the lines that have no extra: 2.5 to 2.13 open these libraries by names
#: that are the same from CUDA 11.2 to 11.8.
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

#: CUDA release, oldest and newest compute capability that it supports, minimum driver.
CUDA = (
    ("11.7", "3.5", "8.7", "450.80.02"),
    ("11.8", "3.5", "9.0", "450.80.02"),
    ("12.1", "5.0", "9.0", "525.60.13"),
    ("12.2", "5.0", "9.0", "525.60.13"),
    ("12.3", "5.0", "9.0", "525.60.13"),
    ("12.4", "5.0", "9.0", "525.60.13"),
    ("12.5", "5.0", "9.0", "525.60.13"),
    ("12.6", "5.0", "9.0", "525.60.13"),
    ("12.8", "5.0", "12.0", "525.60.13"),
    ("12.9", "5.0", "12.1", "525.60.13"),
    ("13.0", "7.5", "12.1", "580.65.06"),
)

#: Each line of tensorflow-probability, to the line of TensorFlow that it supports.
PROBABILITY = {
    "0.6": "1.13",
    "0.7": "1.14",
    "0.8": "1.15",
    "0.9": "2.1",
    "0.10": "2.2",
    "0.11": "2.3",
    "0.12": "2.4",
    "0.13": "2.5",
    "0.14": "2.6",
    "0.15": "2.7",
    "0.16": "2.8",
    "0.17": "2.9",
    "0.18": "2.10",
    "0.19": "2.11",
    "0.20": "2.12",
    "0.21": "2.13",
    "0.22": "2.14",
    "0.23": "2.15",
    "0.24": "2.16",
    "0.25": "2.18",
}

#: Companions whose metadata does not say which TensorFlow they run on, or not correctly: their releases, to the
#: TensorFlow; and how that is known. Other releases of a companion have what their metadata says.
RUNS_ON = {
    "keras": (
        {">=2.2.4,<2.3": ">=1.13,<2", ">=2.3,<2.4": ">=1.13,<2.3", ">=2.4,<2.6": ">=2.2,<2.6"},
        "measured",
    ),
    "tensorflow-hub": (
        {"<0.3": ">=1.13", ">=0.3,<0.10": ">=1.14", ">=0.10,<0.16.1": ">=1.15"},
        "its own check",
    ),
    "tensorflow-datasets": ({">=4.8": ">=2.2"}, "measured"),
    "tensorflow-addons": (
        {
            "<0.7": ">=2.0,<2.1",
            ">=0.7,<0.9": ">=2.1,<2.2",
            ">=0.9,<0.10": ">=2.1,<2.3",
            ">=0.10,<0.11": ">=2.2,<2.3",
            ">=0.11,<0.12": ">=2.2,<2.4",
        },
        "curated",
    ),
}

#: The minimum backends of Keras 3.0 to 3.12, whose descriptions name none; the repository requires them since 3.0.
KERAS_BACKENDS = {"TensorFlow": "2.16.1", "JAX": "0.4.20", "PyTorch": "2.1.0"}

#: Framework, its releases, the constraint that they need to run, and why.
REPAIRS = (
    (
        "torch",
        "<2.3",
        "numpy<2",
        "built against NumPy 1; not measured: PyTorch's issue 107302 names 2.3.0 as the first for NumPy 2",
    ),
    ("jax", "<0.4.26", "numpy<2", "built against NumPy 1: _ARRAY_API not found"),
    ("jax", "<0.4.24", "scipy<1.13", "module 'scipy.linalg' has no attribute 'tril'"),
    (
        "jax",
        ">=0.4.22,<0.4.26",
        "nvidia-cudnn-cu12<9",
        "built for cuDNN 8 without an upper bound; not measured: 0.4.26, of the same generation, requires <9.0",
    ),
    (
        "keras",
        "<2.2.5",
        "numpy<1.16.3",
        "the datasets imdb and reuters: Object arrays cannot be loaded when allow_pickle=False",
    ),
    ("keras", ">=3,<3.10", "jax<0.6.1", "module 'jax' has no attribute 'spmd_mode'"),
)
