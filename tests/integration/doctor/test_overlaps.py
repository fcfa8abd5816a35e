"""Packages that overwrite each other: built, diagnosed and fixed for real."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from support.doctor import driver
from support.doctor.recipe import BrokenEnvironment, Recipe, check_recipe, mark_slow, rewrite, site_packages

pytestmark = [pytest.mark.network, pytest.mark.slow]

#: Whether a file is the one that its distribution's RECORD lists.
IS_OWN = """
import base64, hashlib
from importlib.metadata import files
file = next(file for file in files({name!r}) if file.name == {file!r})
digest = hashlib.sha256(file.locate().read_bytes()).digest()
assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == file.hash.value, "not its own"
"""
#: The version of the CUDA runtime that a program gets which looks on the library path first, as the loader does.
RUNTIME = """
import ctypes, sys
try:
    runtime = ctypes.CDLL("libcudart.so.12")
except OSError:
    folder = next(entry for entry in sys.path if entry.endswith("site-packages"))
    runtime = ctypes.CDLL(folder + "/nvidia/cuda_runtime/lib/libcudart.so.12")
version = ctypes.c_int()
runtime.cudaRuntimeGetVersion(ctypes.byref(version))
assert version.value == 12040, version.value
"""


def metadata_of(name: str, version: str, requires: Sequence[str], module: str) -> Callable[[Path], None]:
    """A distribution of which only the metadata is there: what a finding rests on, without its gigabytes."""

    def act(prefix: Path) -> None:
        info = site_packages(prefix) / f"{name}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        info.joinpath("METADATA").write_text(
            "\n".join(lines + [f"Requires-Dist: {line}" for line in requires]) + "\n"
        )
        package = site_packages(prefix) / module
        package.mkdir()
        package.joinpath("__init__.py").write_text(f"__version__ = {version!r}\n")
        listed = [f"{module}/__init__.py,,", f"{info.name}/METADATA,,", f"{info.name}/RECORD,,"]
        info.joinpath("RECORD").write_text("\n".join(listed) + "\n")

    return act


def cuda_of_the_machine(prefix: Path) -> None:
    """An older CUDA beside the environment, as NVIDIA's installer leaves one in /usr/local."""
    arguments = ("pip", "install", "--quiet", "--no-deps", "--python", str(prefix / "bin" / "python"))
    target = str(prefix.parent / "cuda")
    subprocess.run(
        [sys.executable, "-m", "uv", *arguments, "--target", target, "nvidia-cuda-runtime-cu12==12.1.105"],
        check=True,
        env={**os.environ, "UV_CACHE_DIR": str(CACHE[0])},
    )


def file_of_ones_own(prefix: Path) -> None:
    """A file that somebody put into a package's folder, so that the folder outlives the package."""
    folder = site_packages(prefix) / "PIL"
    folder.mkdir(exist_ok=True)
    folder.joinpath("MyImagePlugin.py").write_text("")


#: uv's cache, as the session's fixture gives it; `damage` is called with the environment alone.
CACHE: list[Path] = []

RECIPES = [
    Recipe(
        name="jwt over PyJWT",
        code="CE201",
        statement="import jwt; jwt.encode({'a': 1}, 'k' * 32, algorithm='HS256')",
        install=("PyJWT==2.9.0", "cryptography"),
        then=("jwt==1.3.1",),
        fails_with="has no attribute 'encode'",
        evidence=("jwt/__init__.py: listed by", "the file on disk is from jwt"),
    ),
    Recipe(
        name="a folder that is left of a package",
        code="CE203",
        statement="import PIL; PIL.__version__",
        install=("pillow==10.4.0",),
        remove=("pillow",),
        damage=file_of_ones_own,
        fails_with="module 'PIL' has no attribute '__version__'",
        evidence=("site-packages/PIL has no __init__.py",),
    ),
    Recipe(
        name="libraries of two releases of CUDA",
        code="CE211",
        statement=IS_OWN.format(name="nvidia-cuda-cupti-cu12", file="libnvperf_host.so"),
        install=("nvidia-cuda-cupti-cu12==12.4.127",),
        then=("nvidia-cuda-cupti-cu11==11.8.87",),
        fails_with="not its own",
        evidence=("libnvperf_host.so: the file on disk is from nvidia-cuda-cupti-cu11",),
    ),
    Recipe(
        name="another framework's CUDA wheels under PyTorch",
        code="CE212",
        statement=RUNTIME,
        install=("nvidia-cuda-runtime-cu12==12.4.127",),
        then=("nvidia-cuda-runtime-cu12==12.1.105",),
        # The line is that of torch 2.5.1's metadata; tests/unit/doctor compares it with the stack's table.
        damage=metadata_of("torch", "2.5.1", ["nvidia-cuda-runtime-cu12 ==12.4.127"], "torch"),
        fails_with="12010",
        evidence=("torch 2.5.1 requires nvidia-cuda-runtime-cu12", "installed: 12.1.105"),
    ),
    Recipe(
        name="the machine's CUDA first",
        code="CE214",
        statement=RUNTIME,
        install=("nvidia-cuda-runtime-cu12==12.4.127",),
        damage=cuda_of_the_machine,
        environ={"LD_LIBRARY_PATH": "../cuda/nvidia/cuda_runtime/lib:/usr/lib64-nvidia"},
        fails_with="12010",
        evidence=("libcudart.so.12 is loaded from", "nvidia-cuda-runtime-cu12 12.4.127"),
    ),
]


#: What the default suite has time for; the others are tried where the large wheels are.
QUICK = {"jwt over PyJWT", "a folder that is left of a package", "the machine's CUDA first"}


@pytest.mark.parametrize("recipe", mark_slow(RECIPES, QUICK))
def test_doctor_finds_and_fixes(recipe: Recipe, tmp_path: Path, uv_cache: Path) -> None:
    CACHE[:] = [uv_cache]
    check_recipe(recipe, tmp_path, uv_cache)


#: What nvidia-smi answers where that GPU is.
RTX_5090 = "NVIDIA GeForce RTX 5090, 570.86.10, 12.0, 32607"


def test_gpu_that_the_build_does_not_support(tmp_path: Path, uv_cache: Path) -> None:
    """No GPU here: a program answers in the place of nvidia-smi, and TensorFlow is there by its metadata alone."""

    def damage(prefix: Path) -> None:
        metadata_of("tensorflow", "2.15.1", [], "tensorflow")(prefix)
        driver.nvidia_smi(prefix / "bin", RTX_5090)

    broken = BrokenEnvironment(Recipe("gpu", "CE215", "pass", (), damage=damage), tmp_path, uv_cache)
    code, result = broken.doctor("--quick")
    assert code == 1
    (finding,) = result["findings"]
    assert finding["code"] == "CE215"
    assert "RTX 5090" in finding["evidence"][0]
    assert "compute capability 12.0" in finding["evidence"][0]
    assert "tensorflow[and-cuda]==2." in finding["commands"][0]
    driver.nvidia_smi(broken.prefix / "bin")
    assert broken.doctor("--quick")[0] == 0


def cut_tensorflow(prefix: Path) -> None:
    """The largest library of TensorFlow ends after four megabytes."""
    folder = site_packages(prefix) / "tensorflow"
    library = max(folder.glob("*.so*"), key=lambda path: path.stat().st_size)
    with library.open("rb") as file:
        rewrite(library, file.read(4_000_000))


APPLICATIONS = "from tensorflow.keras import applications; applications.MobileNetV2"
LARGE = [
    Recipe(
        name="TensorFlow 2.15 over tensorflow-cpu 2.18",
        code="CE202",
        statement=APPLICATIONS,
        install=("tensorflow-cpu==2.18.1", "setuptools<81"),
        then=("tensorflow==2.15.1",),
        evidence=("tensorflow 2.15.1", "tensorflow-cpu 2.18.1", "listed by both"),
    ),
    Recipe(
        name="one of two builds removed",
        code="CE503",
        statement="import tensorflow as tf; tf.__version__",
        install=("tensorflow-cpu==2.18.1", "setuptools<81"),
        then=("tensorflow==2.18.1",),
        remove=("tensorflow-cpu",),
        fails_with="module 'tensorflow' has no attribute '__version__'",
        evidence=("tensorflow/__init__.py",),
    ),
    Recipe(
        name="TensorFlow cut off",
        code="CE504",
        statement=APPLICATIONS,
        install=("tensorflow-cpu==2.18.1", "setuptools<81"),
        damage=cut_tensorflow,
        evidence=("is truncated",),
    ),
]


@pytest.mark.wheels
@pytest.mark.parametrize("recipe", LARGE, ids=lambda recipe: recipe.name)
def test_doctor_finds_and_fixes_tensorflow(recipe: Recipe, tmp_path: Path, uv_cache: Path) -> None:
    check_recipe(recipe, tmp_path, uv_cache)


@pytest.mark.wheels
def test_tensorflow_cannot_load_cuda_libraries(tmp_path: Path, uv_cache: Path) -> None:
    """TensorFlow's own log, with a stand-in for the driver. The wheels of the repair are gigabytes, so it is not run.

    It was run by hand in November 2026: after it TensorFlow 2.15.1 lists the GPU, and nothing is wrong.
    """
    driver.driver(tmp_path / "driver")
    recipe = Recipe(
        "dlopen",
        "CE216",
        "pass",
        ("tensorflow==2.15.1", "setuptools<81"),
        damage=lambda prefix: driver.nvidia_smi(prefix / "bin"),
        environ={"LD_LIBRARY_PATH": str(tmp_path / "driver")},
    )
    broken = BrokenEnvironment(recipe, tmp_path, uv_cache)
    code, result = broken.doctor()
    assert code == 1
    (finding,) = result["findings"]
    assert finding["code"] == "CE216"
    shown = "\n".join(finding["evidence"])
    assert "Cannot dlopen some GPU libraries" in shown
    assert "libcudnn.so.8 is in nvidia-cudnn-cu12==8.9.4.25, which is not installed" in shown
    assert "nvidia-cublas-cu12==12.2.5.6" in finding["commands"][0]
    broken.remove()
