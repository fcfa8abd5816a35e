"""The doctor diagnoses and fixes incompatible versions in small environments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.doctor.recipe import BrokenEnvironment, Recipe, check_recipe, mark_slow

pytestmark = [pytest.mark.network, pytest.mark.slow]

RECIPES = [
    Recipe(
        name="requirement too old",
        code="CE101",
        statement="import httpx; httpx.Client()",
        install=("httpx==0.27.2",),
        then=("httpcore==0.9.1",),
        fails_with="ModuleNotFoundError",
        evidence=("httpx 0.27.2 requires httpcore", "0.9.1"),
    ),
    Recipe(
        name="protobuf too new for old messages",
        code="CE107",
        statement="from google.api import annotations_pb2",
        install=("googleapis-common-protos==1.52.0", "protobuf==4.25.8"),
        fails_with="Descriptors cannot be created directly",
        evidence=(
            "googleapis-common-protos 1.52.0",
            "Descriptors cannot be created directly",
            "protobuf<3.21",
        ),
        pass_error=True,
    ),
    Recipe(
        name="Python without distutils",
        code="CE111",
        statement="import distutils.util",
        install=(),
        python="3.12",
        fails_with="No module named 'distutils'",
        evidence=("Python 3.12",),
        pass_error=True,
    ),
    Recipe(
        name="NumPy 2 with a wheel for NumPy 1",
        code="CE105",
        statement="import h5py",
        install=("h5py==3.10.0", "numpy==2.0.2"),
        fails_with="numpy.dtype size changed",
        evidence=("h5py 3.11 is the first for NumPy 2", "numpy 2.0.2"),
    ),
    Recipe(
        name="protobuf too old for new messages",
        code="CE107",
        statement="from grpc_health.v1 import health_pb2",
        install=("grpcio-health-checking==1.71.0",),
        then=("protobuf==4.25.8",),
        fails_with="cannot import name 'runtime_version'",
        evidence=("grpcio-health-checking 1.71.0 requires protobuf", "4.25.8"),
    ),
    Recipe(
        name="NumPy too old for a new wheel",
        code="CE106",
        statement="import pandas",
        install=("pandas==2.2.3",),
        then=("numpy==1.21.6",),
        python="3.10",
        evidence=("pandas 2.2.3 requires numpy", "numpy 1.21.6"),
    ),
    Recipe(
        name="typing-extensions too old for an import",
        code="CE113",
        statement="from typing_extensions import Self",
        install=("typing-extensions==3.10.0.2",),
        fails_with="cannot import name 'Self'",
        evidence=("typing-extensions 3.10.0.2 does not have Self",),
        pass_error=True,
    ),
    Recipe(
        name="setuptools without pkg_resources",
        code="CE110",
        statement="from tensorboard import default",
        install=("tensorboard==2.19.0", "setuptools==82.0.0"),
        fails_with="No module named 'pkg_resources'",
        evidence=("setuptools 82.0.0", "tensorboard 2.19.0 imports pkg_resources"),
    ),
]

#: The recipes of the default suite, which covers the other causes in `SEVERAL` or by the text of an exception. The
#: others run with `--extended`.
QUICK = {"requirement too old", "protobuf too new for old messages", "Python without distutils"}


@pytest.mark.parametrize("recipe", mark_slow(RECIPES, QUICK))
def test_doctor_finds_and_fixes(recipe: Recipe, tmp_path: Path, uv_cache: Path) -> None:
    check_recipe(recipe, tmp_path, uv_cache)


SEVERAL = Recipe(
    name="three causes at once",
    code="CE101",
    statement="import httpx; httpx.Client(); import h5py; from tensorboard import default",
    install=("httpx==0.27.2", "h5py==3.10.0", "tensorboard==2.19.0", "setuptools==82.0.0", "numpy==2.0.2"),
    then=("httpcore==0.9.1",),
    fails_with="ModuleNotFoundError",
    also=("CE105", "CE110"),
)


def test_one_command_fixes_several_findings(tmp_path: Path, uv_cache: Path) -> None:
    broken = BrokenEnvironment(SEVERAL, tmp_path, uv_cache)
    assert broken.try_statement().returncode != 0

    code, result = broken.doctor("--quick")

    assert code == 1
    assert [finding["code"] for finding in result["findings"]] == ["CE101", "CE105", "CE110"]
    assert len(result["commands"]) == 1
    code, result = broken.doctor("--quick", "--fix", "--yes")
    assert (code, len(result["mended"])) == (0, 1), result
    assert broken.try_statement().returncode == 0


@pytest.mark.parametrize("tool", [pytest.param("pip", marks=pytest.mark.wheels), "uv"])
def test_missing_wheel_from_installer_output(tool: str, tmp_path: Path, uv_cache: Path) -> None:
    recipe = Recipe("no wheel", "CE112", "import tensorflow", install=("pip",), python="3.12")
    broken = BrokenEnvironment(recipe, tmp_path, uv_cache)
    arguments = ["install", "--dry-run", "--no-deps", "tensorflow==2.12.0"]
    argv = {
        "pip": [str(broken.python), "-m", "pip", *arguments],
        "uv": [sys.executable, "-m", "uv", "pip", *arguments, "--python", str(broken.python)],
    }
    completed = subprocess.run(argv[tool], env=broken.environ, capture_output=True, text=True, check=False)
    assert completed.returncode != 0
    (tmp_path / "output.txt").write_text(completed.stdout + completed.stderr)

    code, result = broken.doctor("--quick", "--traceback", str(tmp_path / "output.txt"))

    assert code == 1
    (finding,) = result["findings"]
    assert finding["code"] == "CE112"
    assert finding["what"] == "TensorFlow 2.12.0 has no wheel for Python 3.12."
    assert "wheels for Python 3.8 to 3.11" in finding["why"]
    assert finding["commands"][0].startswith("echo '{name: tf-2.12, ")
    assert finding["commands"][0].endswith("python -m colabenv up tf-2.12.yaml")
    profile = finding["commands"][0].split("'")[1]
    (tmp_path / "profile.yaml").write_text(profile)
    check_profile = [sys.executable, "-m", "colabenv", "check", str(tmp_path / "profile.yaml")]
    assert subprocess.run(check_profile, env=broken.environ, check=False).returncode == 0
