"""The README's table of verified releases, and the criteria of scripts/wheelcheck."""

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
    yield importlib.import_module("wheelcheck.table")
    sys.path.remove(str(REPOSITORY / "scripts"))


@pytest.fixture(scope="module")
def cuda_libraries(table: Any) -> Any:
    return importlib.import_module("wheelcheck.cuda_libraries")


@pytest.fixture(scope="module")
def criteria(table: Any) -> Any:
    return importlib.import_module("wheelcheck.criteria")


@pytest.fixture(scope="module")
def check(table: Any) -> Any:
    return importlib.import_module("wheelcheck.check")


def records() -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((REPOSITORY / "docs/verified.json").read_text(encoding="utf-8"))
    return loaded


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


def test_readme_shows_the_committed_records(table: Any) -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert table.insert_table(readme, table.render_markdown(records())) == readme


def test_every_release_line_is_verified(check: Any) -> None:
    verified = [
        (".".join(record["release"].split(".")[:2]), record["variant"])
        for record in records()
        if "failed" not in record
    ]
    assert verified == [(line, variant) for variant, lines in check.LINES.items() for line in lines]


def test_records_survive_a_round_trip_through_json(table: Any) -> None:
    written = [record("2.15.1", "cpu"), record("2.15.1", "gpu", cuda={"opened": {"libnccl.so.2": "lib"}})]
    text = table.render_json(written)
    assert json.loads(text) == written
    assert '  "python": "3.11.7",\n' in text


def test_new_record_replaces_the_old_one_and_records_are_sorted(table: Any) -> None:
    old = [record("2.21.0", "cpu"), record("2.8.4", "gpu"), record("2.8.4", "cpu")]
    new = [record("2.8.4", "cpu", packages=1), record("2.15.1", "cpu")]
    merged = table.merge_records(old, new)
    assert [(entry["release"], entry["variant"], entry["packages"]) for entry in merged] == [
        ("2.8.4", "cpu", 1),
        ("2.15.1", "cpu", 104),
        ("2.21.0", "cpu", 104),
        ("2.8.4", "gpu", 104),
    ]


def test_table_with_cpu_gpu_and_failed_runs(table: Any) -> None:
    cuda = {"opened": {"libnccl.so.2": "lib/x"}, "not_opened": {"libcuda.so.1": "comes with the driver"}}
    failed = {
        "release": "2.21.0",
        "variant": "gpu",
        "failed": "no\nreason",
        "day": "2026-11-23",
        "machine": MACHINE,
    }
    text = table.render_markdown([record("2.15.1", "cpu"), record("2.15.1", "gpu", cuda=cuda), failed])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[:1] == "|"]
    assert rows[2][:7] == ["2.15.1", "cpu", "3.11.7", "2.15.0", "2", "MobileNetV2", "–"]
    assert rows[2][7:] == ["104", "1.9", "62", "2026-11-22"]
    assert rows[3][6] == "1"
    assert rows[4][:3] == ["2.21.0", "gpu", "failed: no"]
    assert {len(cells) for cells in rows} == {11}
    assert "2 cores, 24 GiB of memory, glibc 2.36, no GPU" in text
    assert "`libcuda.so.1` (comes with the driver)" in text


def test_readme_must_have_exactly_two_markers(table: Any) -> None:
    marked = f"text\n{table.BEGIN}\n{table.END}\n"
    for readme in ("", marked * 2):
        with pytest.raises(ValueError, match="two markers"):
            table.insert_table(readme, "table")


def test_libraries_are_classified_as_needed_or_left_out(cuda_libraries: Any) -> None:
    framework = {"CudaDriver": "libcuda.so.1", "Cudnn": "libcudnn.so.8", "Miopen": "libMIOpen.so"}
    extension = {
        "Cudnn": "libcudnn.so.8",
        "NvInfer": "libnvinfer.so.8",
        "CudaRuntime": "",
        "libm.so.6": "libm.so.6",
    }
    at_import = {name: name for name in ("libcudart.so.11.0", "libnvinfer.so.8", "libcurl.so.4")}
    requested = cuda_libraries.classify_libraries([framework, extension, at_import])
    assert requested.needed == ("libcudart.so.11.0", "libcudnn.so.8")
    assert set(requested.left_out) == {"libcuda.so.1", "libnvinfer.so.8"}


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


def test_complete_models_pass_the_check(criteria: Any) -> None:
    assert criteria.check_models(models(), {"environment": PREFIX}) == models()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"prefix": "/usr"}, "not in its environment"),
        ({"tensorflow_from": "/usr/lib/tensorflow/__init__.py"}, "not in its environment"),
        ({"others": ["tensorflow.keras.applications.what"]}, "not known"),
        ({"models": []}, "0 models"),
        ({"modules": {"vgg16": ["VGG16"]}}, "only in submodules: VGG16"),
        ({"prediction": {"shape": [1, 1000], "sums": [1.0, 1.0]}}, "prediction"),
        ({"prediction": {"shape": [2, 1000], "sums": [1.0, float("nan")]}}, "prediction"),
    ],
)
def test_wrong_models_fail_the_check(criteria: Any, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(criteria.CheckFailedError, match=message):
        criteria.check_models(models(**wrong), {"environment": PREFIX})


def cuda(**more: Any) -> dict[str, Any]:
    wheels = f"{PREFIX}/lib/python3.11/site-packages/nvidia"
    return {
        "opened": {"libcudnn.so.8": {"path": f"{wheels}/cudnn/lib/libcudnn.so.8"}},
        "wheel_libraries": 20,
        "wheel_errors": {"lib/nvidia/libfirst.so": "libcuda.so.1: cannot open shared object file"},
        "ptxas": {"path": f"{wheels}/nvcc/bin/ptxas", "release": "12.2"},
        "libdevice": f"{wheels}/nvcc/nvvm/libdevice/libdevice.10.bc",
        "compiled": 12.0,
        **more,
    }


def test_loadable_cuda_libraries_pass_the_check(criteria: Any, cuda_libraries: Any) -> None:
    record = criteria.check_cuda(
        cuda(), cuda_libraries.RequestedLibraries(("libcudnn.so.8",), {}), Path(PREFIX)
    )
    assert record["opened"] == {
        "libcudnn.so.8": "lib/python3.11/site-packages/nvidia/cudnn/lib/libcudnn.so.8"
    }
    assert record["wheel_libraries_opened"] == 19
    assert record["wheel_libraries_that_need_the_driver"] == ["libfirst.so"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"opened": {}}, "none was tried"),
        ({"opened": {"libcudnn.so.8": {"error": "cannot open"}}}, "libcudnn.so.8: cannot open"),
        ({"opened": {"libcudnn.so.8": {"path": "/usr/local/cuda/libcudnn.so.8"}}}, "/usr/local"),
        ({"wheel_errors": {"lib/libother.so": "undefined symbol"}}, "undefined symbol"),
        ({"ptxas": {}}, "ptxas"),
        ({"libdevice": ""}, "libdevice"),
        ({"compiled": 0.0}, "cannot compile"),
    ],
)
def test_incomplete_cuda_libraries_fail_the_check(
    criteria: Any, cuda_libraries: Any, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(criteria.CheckFailedError, match=message):
        criteria.check_cuda(
            cuda(**wrong), cuda_libraries.RequestedLibraries(("libcudnn.so.8",), {}), Path(PREFIX)
        )
