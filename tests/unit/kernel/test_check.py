"""The proof: what the cell finds in a real Python, and what is made of it."""

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
from support.patience import PATIENCE
from support.pythons import interpreters

CELL = Path(check_cell.__file__)

# A stand-in for ipykernel that knows of a kernel, so that the cell runs in a plain process.
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
namespace = {"__name__": "colabenv_proof"}
exec(compile(open(sys.argv[1]).read(), "<colabenv proof>", "exec"), namespace)
print(json.dumps(namespace["run_checks"](json.loads(sys.argv[3]))))
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of modules: ipykernel, one of our own, and the metadata of two distributions."""
    (tmp_path / "ipykernel").mkdir()
    (tmp_path / "ipykernel" / "__init__.py").write_text("")
    (tmp_path / "ipykernel" / "kernelapp.py").write_text(IPYKERNEL)
    (tmp_path / "mine.py").write_text("VALUE = 1\n")
    for name, version in [("Zope.Inter__Face", "5.4"), ("six", "1.16.0")]:
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return tmp_path


def prove(site: Path, python: Path, **question: object) -> subprocess.CompletedProcess[str]:
    asked = {"imports": [], "code": None, "versions": {}, **question}
    return subprocess.run(
        [python, "-I", "-c", RUN, CELL, site, json.dumps(asked)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize("minor", sorted(interpreters()))
def test_the_cell_runs_on_every_python(site: Path, minor: str) -> None:
    python = interpreters()[minor]
    versions = {"zope-inter-face": "5.4", "six": "1.17.0", "gone": "1"}
    done = prove(
        site, python, imports=["mine", "json"], code="import mine\nassert mine.VALUE == 1", versions=versions
    )
    assert done.stderr == ""
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["version"].startswith(f"{minor}.")
    assert report["kernel_class"] == "ipykernel.kernelapp.Kernel"
    assert report["differences"] == [["gone", "1", ""], ["six", "1.17.0", "1.16.0"]]
    assert report["origins"]["mine"] == str(site / "mine.py")
    assert set(report["seconds"]) == {"import mine", "import json", "verify.code"}
    assert report["devices"] == []
    assert "tensorflow" not in report


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ({"imports": ["no_such_module"]}, "ModuleNotFoundError: No module named 'no_such_module'"),
        ({"code": "assert 1 == 2, 'off by one'"}, "AssertionError: off by one"),
        ({"code": "def broken(:"}, "SyntaxError"),
    ],
)
def test_what_fails_in_the_cell_is_an_error_there(site: Path, question: dict[str, object], word: str) -> None:
    done = prove(site, Path(sys.executable), **question)
    assert done.returncode == 1
    assert word in done.stderr


def test_the_code_runs_as_a_program_of_its_own(site: Path) -> None:
    done = prove(
        site, Path(sys.executable), code="assert __name__ == '__main__'\nassert 'run_checks' not in globals()"
    )
    assert done.returncode == 0, done.stderr


def test_what_is_as_locked_is_no_difference() -> None:
    version = importlib.metadata.version("pytest")
    assert find_version_differences({"pytest": version}) == []
    assert find_version_differences({"pytest": "0", "no-such": "1"}) == [
        ["no-such", "1", ""],
        ["pytest", "0", version],
    ]


# Stand-ins that calculate, for the parts of the frameworks that the cell uses.
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


def test_each_framework_is_tried_and_says_what_it_sees(site: Path) -> None:
    (site / "torch.py").write_text(TORCH + "GPUS, ONE = 2, 1\n")
    (site / "jax.py").write_text(JAX)
    done = prove(site, Path(sys.executable), versions={"torch": "2.6.0", "jax": "0.5.3"})
    report = json.loads(done.stdout.splitlines()[-1])
    assert (report["torch"], report["jax"]) == ("2.6.0", "0.5.3")
    assert report["devices"] == [["cuda:0", "GPU"], ["cuda:1", "GPU"], ["cuda:0", "GPU"]]
    assert report["sees_gpu"] == {"torch": True, "jax": True}
    assert set(report["seconds"]) == {"import torch", "a sum with torch", "import jax", "a sum with jax"}
    assert report["origins"]["torch"] == str(site / "torch.py")
    assert "keras" not in report


def test_a_framework_that_calculates_wrongly_is_an_error(site: Path) -> None:
    (site / "torch.py").write_text(TORCH + "GPUS, ONE = 0, 2\n")
    done = prove(site, Path(sys.executable), versions={"torch": "2.6.0"})
    assert "AssertionError: PyTorch says that 64 is 256.0" in done.stderr


def test_facts_about_tensorflow_are_taken_from_the_module() -> None:
    devices = [
        SimpleNamespace(name="/physical_device:CPU:0", device_type="CPU"),
        SimpleNamespace(name="/physical_device:GPU:0", device_type="GPU"),
    ]
    module = SimpleNamespace(
        __version__="2.15.1",
        test=SimpleNamespace(is_built_with_cuda=lambda: True),
        config=SimpleNamespace(list_physical_devices=lambda: devices),
        keras=SimpleNamespace(__version__="2.15.0"),
    )
    facts = describe_tensorflow(module)
    assert (facts["tensorflow"], facts["keras"], facts["built_with_cuda"]) == ("2.15.1", "2.15.0", True)
    assert facts["devices"] == [["/physical_device:CPU:0", "CPU"], ["/physical_device:GPU:0", "GPU"]]


PREFIX = "/h/envs/demo/d1"
SITE = f"{PREFIX}/lib/python3.11/site-packages"
REPORT: dict[str, Any] = {
    "executable": f"{PREFIX}/bin/python",
    "prefix": PREFIX,
    "version": "3.11.7",
    "kernel_class": "google.colab._kernel.Kernel",
    "pip": f"{PREFIX}/bin/pip",
    "python": f"{PREFIX}/bin/python",
    "seconds": {"import tensorflow": 3.5, "prediction": 1.5},
    "origins": {"tensorflow": f"{SITE}/tensorflow/__init__.py", "builtin": None},
    "devices": [["/physical_device:CPU:0", "CPU"]],
    "sees_gpu": {"tensorflow": False},
    "differences": [],
    "tensorflow": "2.15.1",
    "keras": "2.15.0",
}
GPU = [["/physical_device:CPU:0", "CPU"], ["/physical_device:GPU:0", "GPU"]]


def judged(tmp_path: Path, gpu: str = "none", wanted: str = "", **found: object) -> CheckReport:
    question = CheckRequest(
        name="demo",
        kernels=Path("/k"),
        prefix=Path(PREFIX),
        imports=(),
        code=None,
        versions={},
        gpu=gpu,
        transport="tcp",
        log=tmp_path / "log",
        kernel_class=wanted,
    )
    report = {name: value for name, value in (REPORT | found).items() if value != "absent"}
    return assess_report(question, report, 0.5)


def test_a_report_that_is_as_wanted_is_a_proof(tmp_path: Path) -> None:
    assert judged(tmp_path, wanted="google.colab._kernel.Kernel") == CheckReport(
        kernel_class="google.colab._kernel.Kernel",
        python="3.11.7",
        tensorflow="2.15.1",
        keras="2.15.0",
        origins={"tensorflow": f"{SITE}/tensorflow/__init__.py", "builtin": ""},
        devices=("/physical_device:CPU:0",),
        seconds={"kernel start": 0.5, "import tensorflow": 3.5, "prediction": 1.5},
    )


def test_an_environment_without_tensorflow_is_proven_too(tmp_path: Path) -> None:
    proof = judged(tmp_path, tensorflow="absent", keras="absent", devices=[], origins={})
    assert (proof.tensorflow, proof.keras, proof.devices, proof.notes) == ("", "", (), ())


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"prefix": "/usr"}, "instead of the environment's Python"),
        ({"executable": "/usr/bin/python3"}, "The kernel ran /usr/bin/python3"),
        (
            {"differences": [["numpy", "1.26.4", "2.0.0"]]},
            "does not hold what the lock says",
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
def test_each_thing_that_is_not_as_wanted_is_refused(
    tmp_path: Path, found: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckError, match=message) as caught:
        judged(tmp_path, wanted="google.colab._kernel.Kernel", **found)
    assert caught.value.hint
    assert caught.value.exit_code == 5


def test_the_packages_that_differ_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckError) as caught:
        judged(tmp_path, differences=[["numpy", "1.26.4", "2.0.0"], ["keras", "2.15.0", ""]])
    assert caught.value.detail == "numpy: locked 1.26.4, found 2.0.0\nkeras: locked 2.15.0, found nothing"


def test_two_spellings_of_a_version_are_no_difference(tmp_path: Path) -> None:
    judged(tmp_path, differences=[["certifi", "2022.7.1", "2022.07.1"]])


def test_another_module_from_outside_is_the_persons_own(tmp_path: Path) -> None:
    judged(tmp_path, origins={"helpers": "/content/helpers.py"})


@pytest.mark.parametrize(
    ("gpu", "devices", "notes"),
    [("none", [], 0), ("none", GPU, 0), ("expected", GPU, 0), ("required", GPU, 0)],
)
def test_gpus_that_are_there_or_not_wanted_are_no_matter(
    tmp_path: Path, gpu: str, devices: list[list[str]], notes: int
) -> None:
    assert (
        len(judged(tmp_path, gpu=gpu, devices=devices, sees_gpu={"tensorflow": bool(devices)}).notes) == notes
    )


def test_an_expected_gpu_that_is_not_seen_is_noted(tmp_path: Path) -> None:
    (note,) = judged(tmp_path, gpu="expected").notes
    assert "TensorFlow sees no GPU; it will run on the CPU" in note


def test_a_required_gpu_that_is_not_seen_is_refused_with_the_kernels_words(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("Could not find cuda drivers\n")
    with pytest.raises(CheckError, match="sees no GPU") as caught:
        judged(tmp_path, gpu="required")
    assert "Change runtime type" in caught.value.hint
    assert caught.value.detail == "Could not find cuda drivers"


def test_each_framework_that_sees_no_gpu_is_named(tmp_path: Path) -> None:
    seen = {"torch": False, "jax": True, "tensorflow": False}
    notes = judged(tmp_path, gpu="expected", sees_gpu=seen, torch="2.6.0", jax="0.5.3").notes
    assert [note.split(" sees")[0] for note in notes] == ["PyTorch", "TensorFlow"]
    with pytest.raises(CheckError, match=r"^PyTorch and TensorFlow see no GPU in this environment"):
        judged(tmp_path, gpu="required", sees_gpu=seen)


def test_the_backend_of_keras_is_part_of_the_proof(tmp_path: Path) -> None:
    proof = judged(
        tmp_path, tensorflow="absent", sees_gpu={"jax": False}, jax="0.5.3", keras="3.11.3", backend="jax"
    )
    assert (proof.jax, proof.keras, proof.backend) == ("0.5.3", "3.11.3", "jax")


def test_a_required_gpu_without_anything_to_see_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="nothing that can see a GPU"):
        judged(tmp_path, gpu="required", tensorflow="absent", devices=[], sees_gpu={}, origins={})
