"""The script that writes table.toml: METADATA read by ranges, requirements as text, rows grouped by facts."""

from __future__ import annotations

import importlib
import io
import os
import sys
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"


@pytest.fixture(scope="module")
def index() -> Iterator[Any]:
    sys.path.insert(0, str(SCRIPTS))
    yield importlib.import_module("stacktable.index")
    sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def rows_module(index: Any) -> Any:
    return importlib.import_module("stacktable.rows")


@pytest.fixture(scope="module")
def render(index: Any) -> Any:
    return importlib.import_module("stacktable.render")


class ServedFile:
    """A file on a package index that is read by ranges; counts the bytes sent."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.sent = 0

    def __call__(self, byte_range: str) -> bytes:
        first, last = byte_range.removeprefix("bytes=").split("-")
        data = self._data[-int(last) :] if not first else self._data[int(first) : int(last) + 1]
        self.sent += len(data)
        return data


def wheel(metadata: str, *, padding: int = 0, members: int = 0, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("big.so", os.urandom(padding))
        archive.writestr("a-1.dist-info/METADATA", metadata)
        archive.writestr("a/_vendor/b-2.dist-info/METADATA", "Name: b\n")
        for number in range(members):
            archive.writestr(f"a/{number:04}-{'x' * 60}", "")
        archive.writestr("a-1.dist-info/RECORD", "a-1.dist-info/METADATA,,\n")
    return file.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_metadata_is_read_without_downloading_the_wheel(index: Any, method: int) -> None:
    served = ServedFile(wheel("Name: a\nRequires-Dist: é\n", padding=3_000_000, method=method))
    assert index.metadata_by_ranges(served).decode() == "Name: a\nRequires-Dist: é\n"
    assert served.sent < 80_000


def test_archive_directory_longer_than_the_first_range_is_read(index: Any) -> None:
    served = ServedFile(wheel("Name: a\n", padding=3_000_000, members=1000))
    assert index.metadata_by_ranges(served) == b"Name: a\n"
    assert 80_000 < served.sent < 1_300_000


def test_wheel_shorter_than_the_first_range_is_read(index: Any) -> None:
    assert index.metadata_by_ranges(ServedFile(wheel("Name: a\n"))) == b"Name: a\n"


def test_archive_without_metadata_is_an_error(index: Any) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/_vendor/b-2.dist-info/METADATA", "Name: b\n")
    with pytest.raises(LookupError, match="no METADATA"):
        index.metadata_by_ranges(ServedFile(file.getvalue()))


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ("Typing_Extensions (<4.6,>=3.6)", "typing-extensions<4.6,>=3.6"),
        ('numpy>=1.26; python_version >= "3.12"', "numpy>=1.26; python_version >= '3.12'"),
        ('numpy<2; python_version < "3.12" and sys_platform == "linux"', "numpy<2; python_version < '3.12'"),
        ('h5py; platform_machine == "x86_64"', "h5py"),
    ],
)
def test_requirement_markers_are_reduced_to_linux(rows_module: Any, declared: str, text: str) -> None:
    assert rows_module.format_requirement(Requirement(declared), ("3.10", "3.11", "3.12", "3.13")) == text


def test_requirement_for_a_single_python_in_the_middle_is_an_error(rows_module: Any) -> None:
    with pytest.raises(ValueError, match="no marker of the table"):
        rows_module.format_requirement(Requirement('a; python_version == "3.11"'), ("3.10", "3.11", "3.12"))


class FakeIndex:
    """An index with one release of each distribution, and the requirements of that release."""

    def __init__(self, wheel_type: Any, **declared: list[str]) -> None:
        self._wheel_type = wheel_type
        self._declared = {name.replace("_", "-"): lines for name, lines in declared.items()}

    def wheels(self, name: str) -> list[Any]:
        if name not in self._declared:
            return []
        return [
            self._wheel_type(name, "2.15.0", (python,), "", "", False, "2024-01-01")
            for python in ("3.9", "3.10")
        ]

    def metadata(self, wheel: Any) -> Message:
        message = Message()
        for line in self._declared[wheel.name]:
            message["Requires-Dist"] = line
        return message


def test_requirements_of_an_extra_without_wheels_are_omitted(index: Any, rows_module: Any) -> None:
    declared = [
        "numpy<3,>=1.23",
        "wheel",
        "wrapt~=1.12.1",
        "keras-nightly~=2.5.0.dev",
        'clang~=5.0; python_version < "3.10"',
        "keras<2.16",
        *(f"{name}; extra == 'and-cuda'" for name in ("nvidia-cudnn-cu12==2.15.0", "tensorrt-libs==8.6.1")),
    ]
    reader = rows_module.Reader(
        FakeIndex(index.Wheel, tensorflow=declared, nvidia_cudnn_cu12=[], keras=[], numpy=[], wheel=[])
    )
    assert reader.releases() == ["2.15.0"]
    (row,) = reader.rows(["2.15.0"])
    assert row.needs == ("keras-nightly~=2.5.0.dev", "keras<2.16", "numpy<3,>=1.23", "wrapt~=1.12.1")
    assert row.source_builds == ("wrapt",)
    assert row.python == ("3.9", "3.10")
    assert row.cpu_python == ()
    assert row.extra == ("nvidia-cudnn-cu12==2.15.0", "tensorrt-libs==8.6.1")
    assert row.without_wheels == ("tensorrt-libs==8.6.1 on 3.9, 3.10",)
    assert row.cuda_pins == ("nvidia-cudnn-cu12==2.15.0",)
    assert (row.wheels_cuda, row.wheels_cudnn) == ("", "2.15")


def test_new_tensorflow_minor_requires_curated_facts(rows_module: Any) -> None:
    with pytest.raises(LookupError, match=r"no entry for TensorFlow 2\.99"):
        rows_module.find_build("2.99.0")


def test_adjacent_releases_with_equal_facts_share_a_row(rows_module: Any) -> None:
    facts = {
        "python": ("3.9",),
        "cpu_python": (),
        "needs": (),
        "source_builds": (),
        "extra": (),
        "without_wheels": (),
        "cuda_pins": (),
    }
    rows = [rows_module.Row(release, **facts, wheels_cuda=cuda, wheels_cudnn="") for release, cuda in
            (("2.1", "1"), ("2.2", "1"), ("2.3", "2"), ("2.4", "1"))]  # fmt: skip
    assert [releases for releases, _ in rows_module.group_rows(rows)] == [["2.1", "2.2"], ["2.3"], ["2.4"]]


def test_companion_releases_with_equal_facts_share_a_row(index: Any, rows_module: Any, render: Any) -> None:
    reader = rows_module.Reader(FakeIndex(index.Wheel, tensorflow=["numpy", "keras<2.16"], keras=[]))
    with pytest.raises(ValueError, match="index has no wheel for nvidia-cuda-runtime-cu11"):
        reader.rows(["2.15.0"])
    pair = rows_module.Pair("1.0", ">=2.15", (), (), "Requires-Dist")
    text = render.render_table(
        "2026-01-01",
        [],
        ["3.0.0"],
        {"tf-keras": [pair, rows_module.Pair("1.1", ">=2.15", (), (), "Requires-Dist")]},
        render.OtherFrameworks([], [], []),
    )
    assert '    { releases = ["1.0", "1.1"], tensorflow = ">=2.15", read = "Requires-Dist" },\n' in text
    assert "scripts/refresh-stack-table on 2026-01-01" in text
