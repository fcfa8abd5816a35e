"""The check of a kernel: its cell in real Pythons, and the assessment of its report."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from colabenv.embedded import check_cell
from colabenv.embedded.check_cell import describe_tensorflow, find_version_differences
from colabenv.errors import CheckError
from colabenv.kernel.check import CheckReport, CheckRequest, assess_report
from support.pythons import embedded_interpreters
from support.timeouts import TIMEOUT

CELL = Path(check_cell.__file__)

# A fake ipykernel with a kernel, so that the cell runs in a plain process.
IPYKERNEL = """
class Kernel:
    pass
class IPKernelApp:
    kernel = Kernel()
    @classmethod
    def instance(cls):
        return cls()
"""

RUN = """
import json, sys
sys.path.insert(0, sys.argv[2])
namespace = {"__name__": "colabenv_check"}
exec(compile(open(sys.argv[1]).read(), "<colabenv check>", "exec"), namespace)
print(json.dumps(namespace["run_checks"](json.loads(sys.argv[3]))))
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with the fake ipykernel, a module and the metadata of two distributions."""
    (tmp_path / "ipykernel").mkdir()
    (tmp_path / "ipykernel" / "__init__.py").write_text("")
    (tmp_path / "ipykernel" / "kernelapp.py").write_text(IPYKERNEL)
    (tmp_path / "mine.py").write_text("VALUE = 1\n")
    for name, version in [("Zope.Inter__Face", "5.4"), ("six", "1.16.0")]:
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return tmp_path


def run_cell(site: Path, python: Path, **request: object) -> subprocess.CompletedProcess[str]:
    content = {"imports": [], "code": None, "versions": {}, "statements": [], **request}
    return subprocess.run(
        [python, "-I", "-c", RUN, CELL, site, json.dumps(content)],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )


@pytest.mark.parametrize("minor", embedded_interpreters())
def test_cell_runs_on_every_python(site: Path, minor: str) -> None:
    python = embedded_interpreters()[minor]
    versions = {"zope-inter-face": "5.4", "six": "1.17.0", "gone": "1"}
    result = run_cell(
        site, python, imports=["mine", "json"], code="import mine\nassert mine.VALUE == 1", versions=versions
    )
    assert result.stderr == ""
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["version"].startswith(f"{minor}.")
    assert report["kernel_class"] == "ipykernel.kernelapp.Kernel"
    assert report["differences"] == [["gone", "1", ""], ["six", "1.17.0", "1.16.0"]]
    assert report["origins"]["mine"] == str(site / "mine.py")
    assert set(report["seconds"]) == {"import mine", "import json", "verify.code"}
    assert report["devices"] == []
    assert "tensorflow" not in report


@pytest.mark.parametrize(
    ("request_fields", "message"),
    [
        ({"imports": ["no_such_module"]}, "ModuleNotFoundError: No module named 'no_such_module'"),
        ({"code": "assert 1 == 2, 'off by one'"}, "AssertionError: off by one"),
        ({"code": "def broken(:"}, "SyntaxError"),
    ],
)
def test_failure_in_the_cell_is_written_to_stderr(
    site: Path, request_fields: dict[str, object], message: str
) -> None:
    result = run_cell(site, Path(sys.executable), **request_fields)
    assert result.returncode == 1
    assert message in result.stderr


def test_profile_code_runs_as_main(site: Path) -> None:
    result = run_cell(
        site, Path(sys.executable), code="assert __name__ == '__main__'\nassert 'run_checks' not in globals()"
    )
    assert result.returncode == 0, result.stderr


def test_missing_and_different_versions_are_listed() -> None:
    version = importlib.metadata.version("pytest")
    assert find_version_differences({"pytest": version}) == []
    assert find_version_differences({"pytest": "0", "no-such": "1"}) == [
        ["no-such", "1", ""],
        ["pytest", "0", version],
    ]


# Fake frameworks with the parts that the cell uses.
TORCH = """
__version__ = "2.6.0"
class cuda:
    is_available = staticmethod(lambda: GPUS > 0)
    device_count = staticmethod(lambda: GPUS)
class Matrix:
    def __init__(self, number):
        self.number = number
    def __matmul__(self, other):
        return Matrix(4 * self.number * other.number)
    def sum(self):
        return 16 * self.number
def ones(shape, device):
    assert shape == (4, 4) and device == ("cuda" if GPUS else "cpu")
    return Matrix(ONE)
"""
JAX = """
import os, torch
__version__ = "0.5.3"
class numpy:
    ones = staticmethod(lambda shape: torch.Matrix(1))
jit = lambda function: function
class Device:
    platform = "gpu"
    __str__ = lambda self: "cuda:0"
devices = lambda: [Device()] if os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false" else []
"""


def test_each_framework_calculates_and_lists_its_devices(site: Path) -> None:
    (site / "torch.py").write_text(TORCH + "GPUS, ONE = 2, 1\n")
    (site / "jax.py").write_text(JAX)
    result = run_cell(site, Path(sys.executable), versions={"torch": "2.6.0", "jax": "0.5.3"})
    report = json.loads(result.stdout.splitlines()[-1])
    assert (report["torch"], report["jax"]) == ("2.6.0", "0.5.3")
    assert report["devices"] == [["cuda:0", "GPU"], ["cuda:1", "GPU"], ["cuda:0", "GPU"]]
    assert report["sees_gpu"] == {"torch": True, "jax": True}
    assert set(report["seconds"]) == {"import torch", "a sum with torch", "import jax", "a sum with jax"}
    assert report["origins"]["torch"] == str(site / "torch.py")
    assert "keras" not in report


def test_wrong_result_of_a_framework_is_an_error(site: Path) -> None:
    (site / "torch.py").write_text(TORCH + "GPUS, ONE = 0, 2\n")
    result = run_cell(site, Path(sys.executable), versions={"torch": "2.6.0"})
    assert "AssertionError: PyTorch computed 256.0 instead of 64" in result.stderr


def test_tensorflow_is_described_with_keras_and_devices() -> None:
    devices = [
        SimpleNamespace(name="/physical_device:CPU:0", device_type="CPU"),
        SimpleNamespace(name="/physical_device:GPU:0", device_type="GPU"),
    ]
    module = SimpleNamespace(
        __version__="2.15.1",
        config=SimpleNamespace(list_physical_devices=lambda: devices),
        keras=SimpleNamespace(__version__="2.15.0"),
    )
    facts = describe_tensorflow(module)
    assert (facts["tensorflow"], facts["keras"]) == ("2.15.1", "2.15.0")
    assert facts["devices"] == [["/physical_device:CPU:0", "CPU"], ["/physical_device:GPU:0", "GPU"]]
    # TensorFlow 1.14 to 2.0 has the function at another place.
    module.config = SimpleNamespace(experimental=module.config)
    assert describe_tensorflow(module)["devices"] == facts["devices"]


PREFIX = "/h/envs/demo/d1"
SITE = f"{PREFIX}/lib/python3.11/site-packages"
REPORT: dict[str, Any] = {
    "executable": f"{PREFIX}/bin/python",
    "prefix": PREFIX,
    "version": "3.11.7",
    "kernel_class": "google.colab._kernel.Kernel",
    "seconds": {"import tensorflow": 3.5, "prediction": 1.5},
    "origins": {"tensorflow": f"{SITE}/tensorflow/__init__.py", "builtin": None},
    "devices": [["/physical_device:CPU:0", "CPU"]],
    "sees_gpu": {"tensorflow": False},
    "differences": [],
    "colab_problems": [],
    "tensorflow": "2.15.1",
    "keras": "2.15.0",
}
GPU = [["/physical_device:CPU:0", "CPU"], ["/physical_device:GPU:0", "GPU"]]


def assess(tmp_path: Path, gpu: str = "none", expected_class: str = "", **fields: object) -> CheckReport:
    request = CheckRequest(
        name="demo",
        kernels=Path("/k"),
        prefix=Path(PREFIX),
        imports=(),
        code=None,
        versions={},
        gpu=gpu,
        transport="tcp",
        log=tmp_path / "log",
        kernel_class=expected_class,
    )
    report = {name: value for name, value in (REPORT | fields).items() if value != "absent"}
    return assess_report(request, report, 0.5)


def test_expected_report_is_accepted(tmp_path: Path) -> None:
    assert assess(tmp_path, expected_class="google.colab._kernel.Kernel") == CheckReport(
        kernel_class="google.colab._kernel.Kernel",
        python="3.11.7",
        tensorflow="2.15.1",
        keras="2.15.0",
        origins={"tensorflow": f"{SITE}/tensorflow/__init__.py", "builtin": ""},
        devices=("/physical_device:CPU:0",),
        seconds={"kernel start": 0.5, "import tensorflow": 3.5, "prediction": 1.5},
    )


def test_report_without_tensorflow(tmp_path: Path) -> None:
    report = assess(tmp_path, tensorflow="absent", keras="absent", devices=[], origins={})
    assert (report.tensorflow, report.keras, report.devices, report.notes) == ("", "", (), ())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prefix": "/usr"}, "instead of the environment's Python"),
        ({"executable": "/usr/bin/python3"}, "The kernel ran /usr/bin/python3"),
        (
            {"differences": [["numpy", "1.26.4", "2.0.0"]]},
            "differ from the lock",
        ),
        ({"kernel_class": "ipykernel.ipkernel.IPythonKernel"}, "not Colab's, so Drive, secrets and files"),
        (
            {"origins": {"tensorflow": "/content/tensorflow/__init__.py"}},
            "loaded from outside the environment",
        ),
        (
            {"origins": {"keras": f"{PREFIX}-old/lib/x/keras/__init__.py"}},
            "loaded from outside the environment",
        ),
    ],
)
def test_unexpected_report_is_an_error(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckError, match=message) as caught:
        assess(tmp_path, expected_class="google.colab._kernel.Kernel", **fields)
    assert caught.value.hint
    assert caught.value.exit_code == 5


def test_modules_of_google_colab_that_do_not_work_are_noted(site: Path, tmp_path: Path) -> None:
    modules = {
        "__init__": "",
        "auth": "import gone",
        "drive": "raise ImportError('google.colab.drive is too new.')",
    }
    modules |= {"files": "from google.colab import drive", "output": "", "userdata": ""}
    result = run_cell(site, Path(sys.executable))
    assert json.loads(result.stdout.splitlines()[-1])["colab_problems"] == []
    for name, text in modules.items():
        path = site / "google" / "colab" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    result = run_cell(site, Path(sys.executable), imports=["google.colab"])
    problems = json.loads(result.stdout.splitlines()[-1])["colab_problems"]
    assert problems == [
        "google.colab.auth: No module named 'gone'",
        "google.colab.drive is too new.",
    ]
    assert assess(tmp_path, colab_problems=problems).notes == tuple(problems)


def test_packages_that_differ_from_the_lock_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckError) as caught:
        assess(tmp_path, differences=[["numpy", "1.26.4", "2.0.0"], ["keras", "2.15.0", ""]])
    assert caught.value.detail == "numpy: locked 1.26.4, found 2.0.0\nkeras: locked 2.15.0, found nothing"


def test_two_spellings_of_a_version_are_equal(tmp_path: Path) -> None:
    assess(tmp_path, differences=[["certifi", "2022.7.1", "2022.07.1"]])


def test_modules_that_are_not_frameworks_may_be_outside_the_environment(tmp_path: Path) -> None:
    assess(tmp_path, origins={"helpers": "/content/helpers.py"})


@pytest.mark.parametrize(
    ("gpu", "devices"), [("none", []), ("none", GPU), ("expected", GPU), ("required", GPU)]
)
def test_gpus_that_are_seen_or_not_expected_cause_no_notes(
    tmp_path: Path, gpu: str, devices: list[list[str]]
) -> None:
    report = assess(tmp_path, gpu=gpu, devices=devices, sees_gpu={"tensorflow": bool(devices)})
    assert report.notes == ()


def test_missing_expected_gpu_causes_a_note(tmp_path: Path) -> None:
    (note,) = assess(tmp_path, gpu="expected").notes
    assert "TensorFlow sees no GPU and will run on the CPU" in note


def test_missing_required_gpu_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("Could not find cuda drivers\n")
    with pytest.raises(CheckError, match="sees no GPU") as caught:
        assess(tmp_path, gpu="required")
    assert "Change runtime type" in caught.value.hint
    assert caught.value.detail == "Could not find cuda drivers"


def test_frameworks_that_see_no_gpu_are_named(tmp_path: Path) -> None:
    sees_gpu = {"torch": False, "jax": True, "tensorflow": False}
    notes = assess(tmp_path, gpu="expected", sees_gpu=sees_gpu, torch="2.6.0", jax="0.5.3").notes
    assert [note.split(" sees")[0] for note in notes] == ["PyTorch", "TensorFlow"]
    with pytest.raises(CheckError, match=r"^PyTorch and TensorFlow see no GPU in this environment"):
        assess(tmp_path, gpu="required", sees_gpu=sees_gpu)


def test_backend_of_keras_is_reported(tmp_path: Path) -> None:
    report = assess(
        tmp_path, tensorflow="absent", sees_gpu={"jax": False}, jax="0.5.3", keras="3.11.3", backend="jax"
    )
    assert (report.jax, report.keras, report.backend) == ("0.5.3", "3.11.3", "jax")


def test_required_gpu_without_a_framework_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="no package of the environment can use a GPU"):
        assess(tmp_path, gpu="required", tensorflow="absent", devices=[], sees_gpu={}, origins={})
