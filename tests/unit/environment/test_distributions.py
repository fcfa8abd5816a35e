"""What is installed, read from metadata."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from colabenv.environment.distributions import InstalledDistribution, installed


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    folder = tmp_path / "lib" / "python3.11" / "site-packages"
    folder.mkdir(parents=True)
    return folder


def put(packages: Path, name: str, metadata: str, **files: str) -> None:
    info = packages / f"{name}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(metadata)
    for file, text in files.items():
        (info / file.replace("_json", ".json")).write_text(text)


def test_names_versions_and_who_asked(packages: Path, tmp_path: Path) -> None:
    put(
        packages,
        "Some_Thing-1.0",
        "Metadata-Version: 2.1\nName: Some.Thing\nVersion: 1.0+local\nRequires-Dist: a (>=1)\nRequires-Dist: b ==\n",
        INSTALLER="pip\n",
        REQUESTED="",
    )
    put(packages, "other-2", "Metadata-Version: 2.1\nName: other\nVersion: 2\n", INSTALLER="uv", REQUESTED="")
    thing, other = sorted(installed(tmp_path), key=lambda one: one.name, reverse=True)
    assert (thing.name, thing.version, thing.by, thing.by_hand) == ("some-thing", "1.0+local", "pip", True)
    assert [str(need) for need in thing.requires] == ["a>=1"], "what is no requirement is passed over"
    assert other == InstalledDistribution("other", "2", "uv", requested=True)
    assert not other.by_hand, "uv says of all that they were requested"


@pytest.mark.parametrize(
    ("direct", "url"),
    [
        (json.dumps({"url": "file:///tmp/x", "dir_info": {"editable": True}}), "file:///tmp/x"),
        (json.dumps({"url": "https://user:secret@host.test/x.whl"}), "https://host.test/x.whl"),
        ("{", "somewhere"),
        ("[]", "somewhere"),
    ],
)
def test_where_it_came_from_without_credentials(
    packages: Path, tmp_path: Path, direct: str, url: str
) -> None:
    put(packages, "x-1", "Metadata-Version: 2.1\nName: x\nVersion: 1\n", direct_url_json=direct)
    assert installed(tmp_path)[0].url == url


def test_half_a_distribution_is_none(packages: Path, tmp_path: Path) -> None:
    put(packages, "x-1", "")
    (packages / "y-1.dist-info").mkdir()
    assert installed(tmp_path) == ()
    assert installed(tmp_path / "absent") == ()
