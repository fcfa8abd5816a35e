"""What the README says was proved on real wheels, and the judgement behind it."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PREFIX = "/home/person/envs/tf-2.15.1/0123456789abcdef"
MACHINE = {"processor": "x86_64", "cores": 2, "memory_gib": 24, "glibc": "glibc 2.36", "gpu": "none"}


@pytest.fixture(scope="module")
def table() -> Iterator[Any]:
    sys.path.insert(0, str(REPOSITORY / "scripts"))
    yield importlib.import_module("wheelproof.table")
    sys.path.remove(str(REPOSITORY / "scripts"))


@pytest.fixture(scope="module")
def libraries(table: Any) -> Any:
    return importlib.import_module("wheelproof.libraries")


@pytest.fixture(scope="module")
def judge(table: Any) -> Any:
    return importlib.import_module("wheelproof.judge")


@pytest.fixture(scope="module")
def proof(table: Any) -> Any:
    return importlib.import_module("wheelproof.proof")


def records() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((REPOSITORY / "docs/verified.json").read_text(encoding="utf-8"))
    return found


def record(release: str, variant: str, **more: Any) -> dict[str, Any]:
    return {
        "release": release,
        "variant": variant,
        "python": "3.11.7",
        "keras": "2.15.0",
        "packages": 104,
        "bytes": 1_900_000_000,
        "models": ["VGG16", "VGG19"],
        "prediction": {"model": "MobileNetV2"},
        "seconds": {"all": 61.5},
        "day": "2026-11-22",
        "machine": MACHINE,
        **more,
    }


def test_the_readme_shows_the_committed_records(table: Any) -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert table.placed(readme, table.markdown(records())) == readme


def test_every_release_was_tried_and_none_failed(proof: Any) -> None:
    found = [
        (".".join(one["release"].split(".")[:2]), one["variant"]) for one in records() if "failed" not in one
    ]
    assert found == [(line, variant) for variant, lines in proof.LINES.items() for line in lines]


def test_records_come_back_from_json(table: Any) -> None:
    made = [record("2.15.1", "cpu"), record("2.15.1", "gpu", cuda={"opened": {"libnccl.so.2": "lib"}})]
    text = table.as_json(made)
    assert json.loads(text) == made
    assert '  "python": "3.11.7",\n' in text


def test_a_new_record_replaces_its_own_kind_and_all_stand_in_order(table: Any) -> None:
    old = [record("2.21.0", "cpu"), record("2.8.4", "gpu"), record("2.8.4", "cpu")]
    new = [record("2.8.4", "cpu", packages=1), record("2.15.1", "cpu")]
    found = table.merged(old, new)
    assert [(one["release"], one["variant"], one["packages"]) for one in found] == [
        ("2.8.4", "cpu", 1),
        ("2.15.1", "cpu", 104),
        ("2.21.0", "cpu", 104),
        ("2.8.4", "gpu", 104),
    ]


def test_the_table_of_a_cpu_a_gpu_and_a_failed_run(table: Any) -> None:
    cuda = {"opened": {"libnccl.so.2": "lib/x"}, "not_opened": {"libcuda.so.1": "comes with the driver"}}
    failed = {
        "release": "2.21.0",
        "variant": "gpu",
        "failed": "no\nreason",
        "day": "2026-11-23",
        "machine": MACHINE,
    }
    text = table.markdown([record("2.15.1", "cpu"), record("2.15.1", "gpu", cuda=cuda), failed])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[:1] == "|"]
    assert rows[2][:7] == ["2.15.1", "cpu", "3.11.7", "2.15.0", "2", "MobileNetV2", "–"]
    assert rows[2][7:] == ["104", "1.9", "62", "2026-11-22"]
    assert rows[3][6] == "1"
    assert rows[4][:3] == ["2.21.0", "gpu", "failed: no"]
    assert {len(cells) for cells in rows} == {11}
    assert "2 cores, 24 GiB of memory, glibc 2.36, no GPU" in text
    assert "`libcuda.so.1` (comes with the driver)" in text


@pytest.mark.parametrize("count", [0, 2])
def test_a_readme_without_its_markers_is_left_alone(table: Any, count: int) -> None:
    with pytest.raises(ValueError, match="two markers"):
        table.placed(f"text\n{table.BEGIN}\n{table.END}\n" * count, "table")


def test_what_tensorflow_asks_for_and_must_find(libraries: Any) -> None:
    framework = {"CudaDriver": "libcuda.so.1", "Cudnn": "libcudnn.so.8", "Miopen": "libMIOpen.so"}
    whole = {
        "Cudnn": "libcudnn.so.8",
        "NvInfer": "libnvinfer.so.8",
        "CudaRuntime": "",
        "libm.so.6": "libm.so.6",
    }
    at_import = {name: name for name in ("libcudart.so.11.0", "libnvinfer.so.8", "libcurl.so.4")}
    found = libraries.sort_out([framework, whole, at_import])
    assert found.needed == ("libcudart.so.11.0", "libcudnn.so.8")
    assert set(found.left_out) == {"libcuda.so.1", "libnvinfer.so.8"}


def models(**more: Any) -> dict[str, Any]:
    names = [f"Model{number}" for number in range(40)]
    return {
        "prefix": PREFIX,
        "tensorflow_from": f"{PREFIX}/lib/tensorflow/__init__.py",
        "others": [],
        "models": names,
        "modules": {"all": names, "mobilenet_v3": []},
        "prediction": {"shape": [2, 1000], "sums": [1.0, 0.9999998]},
        **more,
    }


def test_models_that_are_all_there_pass(judge: Any) -> None:
    assert judge.models(models(), {"environment": PREFIX}) == models()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"prefix": "/usr"}, "not in its environment"),
        ({"tensorflow_from": "/usr/lib/tensorflow/__init__.py"}, "not in its environment"),
        ({"others": ["tensorflow.keras.applications.what"]}, "what is no model"),
        ({"models": []}, "0 models"),
        ({"modules": {"vgg16": ["VGG16"]}}, "in submodules alone: VGG16"),
        ({"prediction": {"shape": [1, 1000], "sums": [1.0, 1.0]}}, "prediction"),
        ({"prediction": {"shape": [2, 1000], "sums": [1.0, float("nan")]}}, "prediction"),
    ],
)
def test_models_that_are_not_as_they_must_be(judge: Any, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(judge.NotProvenError, match=said):
        judge.models(models(**wrong), {"environment": PREFIX})


def cuda(**more: Any) -> dict[str, Any]:
    wheels = f"{PREFIX}/lib/python3.11/site-packages/nvidia"
    return {
        "opened": {"libcudnn.so.8": {"path": f"{wheels}/cudnn/lib/libcudnn.so.8"}},
        "wheel_libraries": 20,
        "wheel_troubles": {"lib/nvidia/libfirst.so": "libcuda.so.1: cannot open shared object file"},
        "ptxas": {"path": f"{wheels}/nvcc/bin/ptxas", "release": "12.2"},
        "libdevice": f"{wheels}/nvcc/nvvm/libdevice/libdevice.10.bc",
        "compiled": 12.0,
        **more,
    }


def test_cuda_libraries_that_open_pass(judge: Any, libraries: Any) -> None:
    found = judge.cuda(cuda(), libraries.Asked(("libcudnn.so.8",), {}), Path(PREFIX))
    assert found["opened"] == {"libcudnn.so.8": "lib/python3.11/site-packages/nvidia/cudnn/lib/libcudnn.so.8"}
    assert found["wheel_libraries_opened"] == 19
    assert found["wheel_libraries_that_need_the_driver"] == ["libfirst.so"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"opened": {}}, "none was tried"),
        ({"opened": {"libcudnn.so.8": {"error": "cannot open"}}}, "libcudnn.so.8: cannot open"),
        ({"opened": {"libcudnn.so.8": {"path": "/usr/local/cuda/libcudnn.so.8"}}}, "/usr/local"),
        ({"wheel_troubles": {"lib/libother.so": "undefined symbol"}}, "undefined symbol"),
        ({"ptxas": {}}, "ptxas"),
        ({"libdevice": ""}, "libdevice"),
        ({"compiled": 0.0}, "compiles"),
    ],
)
def test_cuda_libraries_that_do_not_open(
    judge: Any, libraries: Any, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(judge.NotProvenError, match=said):
        judge.cuda(cuda(**wrong), libraries.Asked(("libcudnn.so.8",), {}), Path(PREFIX))
