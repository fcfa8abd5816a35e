"""Reading dist-info folders: names, files, damage, and the records of pip and uv."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from colabenv.environment.distributions import (
    InstalledDistribution,
    RecordedFile,
    find_damage,
    find_dist_infos,
    find_distributions,
)

VERSIONS = {"six": "1.16.0"}


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    folder = tmp_path / "lib" / "python3.11" / "site-packages"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def prefix(packages: Path, tmp_path: Path) -> Path:
    """An environment with one distribution: a module of four bytes and its RECORD."""
    (packages / "six.py").write_text("six\n")
    record = "six.py,sha256=x,4\nsix.pyc,,9\n__pycache__/six.pyc,sha256=x,9\nsix-1.16.0.dist-info/RECORD,,\n"
    write_dist_info(packages, "six-1.16.0", RECORD=record)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    return tmp_path


def write_dist_info(packages: Path, name: str, **files: str) -> None:
    info = packages / f"{name}.dist-info"
    info.mkdir()
    for file, text in files.items():
        (info / file.replace("_json", ".json")).write_text(text)


def metadata(*lines: str) -> str:
    return "\n".join(["Metadata-Version: 2.1", *lines, ""])


def test_names_versions_requirements_and_installers(packages: Path, tmp_path: Path) -> None:
    some_thing = metadata(
        "Name: Some.Thing", "Version: 1.0+local", "Requires-Dist: a (>=1)", "Requires-Dist: b =="
    )
    write_dist_info(packages, "Some_Thing-1.0", METADATA=some_thing, INSTALLER="pip\n", REQUESTED="")
    write_dist_info(
        packages, "other-2", METADATA=metadata("Name: other", "Version: 2"), INSTALLER="uv", REQUESTED=""
    )
    by_uv, by_pip = find_distributions(tmp_path)
    assert (by_pip.name, by_pip.version, by_pip.installer) == ("some-thing", "1.0+local", "pip")
    assert by_pip.requested
    assert [str(requirement) for requirement in by_pip.requires] == ["a>=1"], (
        "invalid requirements are ignored"
    )
    assert by_uv == InstalledDistribution("other", "2", "uv"), "uv marks every package as requested"


@pytest.mark.parametrize(
    ("direct", "url"),
    [
        (json.dumps({"url": "file:///tmp/x", "dir_info": {"editable": True}}), "file:///tmp/x"),
        (json.dumps({"url": "https://user:secret@host.test/x.whl"}), "https://host.test/x.whl"),
        ("{", "an unknown place"),
        ("[]", "an unknown place"),
    ],
)
def test_direct_url_is_shown_without_credentials(
    packages: Path, tmp_path: Path, direct: str, url: str
) -> None:
    write_dist_info(packages, "x-1", METADATA=metadata("Name: x", "Version: 1"), direct_url_json=direct)
    assert find_distributions(tmp_path)[0].url == url


def test_distributions_without_metadata_are_left_out(packages: Path, tmp_path: Path) -> None:
    write_dist_info(packages, "x-1", METADATA="")
    write_dist_info(packages, "y-1")
    assert find_distributions(tmp_path) == ()
    assert find_distributions(tmp_path / "absent") == ()
    assert [(info.name, info.version) for info in find_dist_infos(tmp_path)] == [("x", "1"), ("y", "1")]


@pytest.mark.parametrize(
    "path", ["a,b.py", 'a"b.py', "a\nb.py", "a\u2028b.py", "a\x85b.py", "a\x0cb.py", "é.py"]
)
def test_record_with_unusual_paths(prefix: Path, packages: Path, path: str) -> None:
    (packages / path).write_text("four")
    with (packages / "six-1.16.0.dist-info" / "RECORD").open("a", newline="", encoding="utf-8") as record:
        csv.writer(record).writerow([path, "sha256=y", 4])
    (dist_info,) = find_dist_infos(prefix)
    assert RecordedFile(path, "sha256=y", 4) in (dist_info.read_record() or ())
    assert find_damage(prefix, VERSIONS) is None
    (packages / path).unlink()
    assert find_damage(prefix, VERSIONS) == f"{packages / path} is missing"


def test_record_with_missing_fields(prefix: Path, packages: Path) -> None:
    (packages / "six-1.16.0.dist-info" / "RECORD").write_text("a\r\n\r\nb,sha256=x\r\nc,,²\r\n")
    (dist_info,) = find_dist_infos(prefix)
    assert dist_info.read_record() == [
        RecordedFile("a", "", None),
        RecordedFile("b", "sha256=x", None),
        RecordedFile("c", "", None),
    ]


def test_intact_environment_has_no_damage(prefix: Path) -> None:
    assert find_damage(prefix, VERSIONS) is None
    assert find_damage(prefix, {"six": "1.16"}) is None, "another spelling of the version"


def test_missing_modified_and_unreadable_files_are_damage(prefix: Path, packages: Path) -> None:
    (packages / "six.py").write_text("s")
    assert find_damage(prefix, VERSIONS) == f"{packages}/six.py was modified"
    (packages / "six.py").unlink()
    assert find_damage(prefix, VERSIONS) == f"{packages}/six.py is missing"
    record = packages / "six-1.16.0.dist-info" / "RECORD"
    record.write_text('"')
    assert find_damage(prefix, VERSIONS) == f"{record} is damaged"


def test_missing_and_replaced_distributions_are_damage(prefix: Path) -> None:
    assert find_damage(prefix, {**VERSIONS, "numpy": "2.0"}) == "numpy 2.0 is missing"
    assert find_damage(prefix, {"six": "1.17.0"}) == "six is 1.16.0, not 1.17.0"


@pytest.mark.parametrize("state", ["missing", "a file", "dangling"])
def test_replaced_python_is_damage(prefix: Path, state: str) -> None:
    python = prefix / "bin" / "python"
    python.unlink()
    if state == "a file":
        python.write_text("garbage")
    if state == "dangling":
        python.symlink_to("/nowhere/python")
    assert find_damage(prefix, VERSIONS) == f"{python} is missing or was replaced"
