"""The doctor diagnoses and fixes packages that overwrite or hide each other's files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from support.doctor import driver
from support.doctor.recipe import BrokenEnvironment, Recipe, check_recipe, mark_slow, site_packages

pytestmark = [pytest.mark.network, pytest.mark.slow]

#: Fails if the file on disk is not the one that its distribution's RECORD lists.
CHECK_HASH = """
import base64, hashlib
from importlib.metadata import files
file = next(file for file in files({name!r}) if file.name == {file!r})
digest = hashlib.sha256(file.locate().read_bytes()).digest()
assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == file.hash.value, "wrong hash"
"""
#: Fails unless CUDA runtime 12.4 is loaded; looks on the library path first, as the loader does.
CHECK_RUNTIME = """
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


def add_metadata(name: str, version: str, requires: Sequence[str], module: str) -> Callable[[Path], None]:
    """Return a damage that adds a distribution with metadata only, instead of gigabytes of wheels."""

    def damage(prefix: Path) -> None:
        info = site_packages(prefix) / f"{name}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requires]
        info.joinpath("METADATA").write_text("\n".join(lines) + "\n")
        package = site_packages(prefix) / module
        package.mkdir()
        package.joinpath("__init__.py").write_text(f"__version__ = {version!r}\n")
        files = (f"{module}/__init__.py", f"{info.name}/METADATA", f"{info.name}/RECORD")
        info.joinpath("RECORD").write_text("".join(f"{file},,\n" for file in files))

    return damage


def add_user_file(prefix: Path) -> None:
    """Add a user's file to a package's folder, so that uninstalling the package leaves the folder."""
    folder = site_packages(prefix) / "PIL"
    folder.mkdir(exist_ok=True)
    folder.joinpath("MyImagePlugin.py").write_text("")


RECIPES = [
    Recipe(
        name="jwt overwrites PyJWT",
        code="CE201",
        statement="import jwt; jwt.encode({'a': 1}, 'k' * 32, algorithm='HS256')",
        install=("PyJWT==2.9.0", "cryptography"),
        then=("jwt==1.3.1",),
        fails_with="has no attribute 'encode'",
        evidence=("jwt/__init__.py: listed by", "the file on disk is from jwt"),
    ),
    Recipe(
        name="folder of a removed package",
        code="CE203",
        statement="import PIL; PIL.__version__",
        install=("pillow==10.4.0",),
        remove=("pillow",),
        damage=add_user_file,
        fails_with="module 'PIL' has no attribute '__version__'",
        evidence=("site-packages/PIL has no __init__.py",),
    ),
    Recipe(
        name="libraries of two CUDA releases",
        code="CE211",
        statement=CHECK_HASH.format(name="nvidia-cuda-cupti-cu12", file="libnvperf_host.so"),
        install=("nvidia-cuda-cupti-cu12==12.4.127",),
        then=("nvidia-cuda-cupti-cu11==11.8.87",),
        fails_with="wrong hash",
        evidence=("libnvperf_host.so: the file on disk is from nvidia-cuda-cupti-cu11",),
    ),
    Recipe(
        name="PyTorch with CUDA wheels of another framework",
        code="CE212",
        statement=CHECK_RUNTIME,
        install=("nvidia-cuda-runtime-cu12==12.4.127",),
        then=("nvidia-cuda-runtime-cu12==12.1.105",),
        # As in the metadata of torch 2.5.1; tests/unit/doctor compares it with the framework table.
        damage=add_metadata("torch", "2.5.1", ["nvidia-cuda-runtime-cu12 ==12.4.127"], "torch"),
        fails_with="12010",
        evidence=("torch 2.5.1 requires nvidia-cuda-runtime-cu12", "installed: 12.1.105"),
    ),
    Recipe(
        name="older CUDA on the library path",
        code="CE214",
        statement=CHECK_RUNTIME,
        install=("nvidia-cuda-runtime-cu12==12.4.127",),
        # As NVIDIA's installer leaves one in /usr/local.
        targets={"cuda": ("nvidia-cuda-runtime-cu12==12.1.105",)},
        environ={"LD_LIBRARY_PATH": "../cuda/nvidia/cuda_runtime/lib:/usr/lib64-nvidia"},
        fails_with="12010",
        evidence=("libcudart.so.12 is loaded from", "nvidia-cuda-runtime-cu12 12.4.127"),
    ),
]


#: The recipes of the default suite; the others run with `--extended`.
QUICK = {"jwt overwrites PyJWT", "folder of a removed package", "older CUDA on the library path"}


@pytest.mark.parametrize("recipe", mark_slow(RECIPES, QUICK))
def test_doctor_finds_and_fixes(recipe: Recipe, tmp_path: Path, uv_cache: Path) -> None:
    check_recipe(recipe, tmp_path, uv_cache)


#: nvidia-smi's output on a machine with that GPU.
RTX_5090 = "NVIDIA GeForce RTX 5090, 570.86.10, 12.0, 32607"


def test_tensorflow_does_not_support_the_gpu(tmp_path: Path, uv_cache: Path) -> None:
    """A program stands in for nvidia-smi, and TensorFlow has only metadata."""

    def damage(prefix: Path) -> None:
        add_metadata("tensorflow", "2.15.1", [], "tensorflow")(prefix)
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
