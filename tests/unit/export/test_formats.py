"""The formats of `export`, as other tools read them."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.pylock import Pylock, is_valid_pylock_path

from colabenv.errors import LockError
from colabenv.export import conda, dockerfile, pylock, ray, requirements
from colabenv.export.model import ExportRequest
from colabenv.export.pylock import IndexFile
from colabenv.lock.lockfile import Header, Lock, Pin, parse_pins

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)
PINS = (
    Pin("numpy", "1.26.4", (f"sha256:{ONE}", f"sha256:{TWO}")),
    Pin("old", "2.0", (f"sha256:{THREE}",)),
)
LOCK = Lock(Header("vision-2023", "0f" * 32, "3.11", "cpu", "plain", "x86_64-manylinux_2_35"), PINS)
REQUEST = ExportRequest(LOCK, "3.11.9", {"GREETING": 'say "hi" to $you \\o/'})
TEAM = dataclasses.replace(
    REQUEST,
    indexes=(("team", "https://user:${TEAM_TOKEN}@host.test/simple"),),
    source_builds=("old", "absent"),
)
GPU = dataclasses.replace(
    REQUEST,
    lock=dataclasses.replace(
        LOCK,
        header=dataclasses.replace(LOCK.header, variant="gpu"),
        pins=(*PINS, Pin("nvidia-cudnn-cu12", "8.9", (f"sha256:{ONE}",))),
    ),
)


def test_requirements_contain_the_pins_and_pip_options() -> None:
    text = requirements.export(REQUEST).text
    body = [line for line in text.splitlines() if not line.startswith("--")]
    assert parse_pins("\n".join(body), "export") == PINS
    assert [line for line in text.splitlines() if line.startswith("--")] == [
        "--require-hashes",
        "--only-binary :all:",
    ]
    options = [line for line in requirements.export(TEAM).text.splitlines() if line.startswith("--")]
    assert options == [
        "--require-hashes",
        "--extra-index-url https://user:${TEAM_TOKEN}@host.test/simple",
        "--only-binary :all:",
        "--no-binary old",
    ]
    notes = requirements.export(TEAM).notes
    assert any("GREETING" in note for note in notes)
    assert any("team" in note for note in notes)


def test_conda_file_installs_python_and_pip_installs_the_pins() -> None:
    document = yaml.safe_load(conda.export(TEAM).text)
    assert document["name"] == "vision-2023"
    assert document["dependencies"][:2] == ["python=3.11.9", "pip"]
    assert document["dependencies"][2] == {
        "pip": [
            "--extra-index-url https://user:${TEAM_TOKEN}@host.test/simple",
            "--only-binary :all:",
            "--no-binary old",
            f"numpy==1.26.4 --hash=sha256:{ONE} --hash=sha256:{TWO}",
            f"old==2.0 --hash=sha256:{THREE}",
        ]
    }
    assert document["variables"] == {"PYTHONNOUSERSITE": "1", **REQUEST.variables}
    assert any("LD_LIBRARY_PATH" in note for note in conda.export(GPU).notes)


def test_ray_file_contains_the_pins_without_ray() -> None:
    exported = ray.export(TEAM)
    runtime = json.loads(exported.text)
    assert runtime == yaml.safe_load(exported.text), "`ray job submit` reads it as YAML"
    assert runtime["uv"]["packages"] == [
        f"numpy==1.26.4 --hash=sha256:{ONE} --hash=sha256:{TWO}",
        f"old==2.0 --hash=sha256:{THREE}",
    ]
    assert runtime["uv"]["uv_pip_install_options"][:4] == [
        "--no-deps",
        "--require-hashes",
        "--only-binary",
        ":all:",
    ]
    assert runtime["env_vars"]["GREETING"] == REQUEST.variables["GREETING"]
    with_ray = dataclasses.replace(LOCK, pins=(*PINS, Pin("ray", "2.60.0", (f"sha256:{ONE}",))))
    exported = ray.export(dataclasses.replace(REQUEST, lock=with_ray))
    assert json.loads(exported.text)["uv"]["packages"] == runtime["uv"]["packages"]
    assert any("2.60.0" in note for note in exported.notes)


def instructions(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return "\n".join(lines).replace("\\\n", " ").splitlines()


def test_dockerfile_installs_the_lock_beside_it() -> None:
    exported = dockerfile.export(REQUEST)
    steps = instructions(exported.text)
    assert steps[0] == "FROM python:3.11.9-slim"
    assert (
        json.loads(steps[1].removeprefix("COPY "))[0] == exported.beside[0][0] == "vision-2023.cpu.lock.txt"
    )
    assert parse_pins(exported.beside[0][1], "lock") == PINS
    assert "--require-hashes" in steps[2]
    assert steps[-2] == 'ENV GREETING="say \\"hi\\" to \\$you \\\\o/"'
    assert "LD_LIBRARY_PATH" not in exported.text


def test_dockerfile_installs_from_source_and_mounts_secrets() -> None:
    exported = dockerfile.export(TEAM)
    assert "FROM python:3.11.9\n" in exported.text
    assert "--no-binary old" in exported.text
    assert "absent" not in exported.text
    assert (
        'RUN --mount=type=secret,id=TEAM_TOKEN export TEAM_TOKEN="$(cat /run/secrets/TEAM_TOKEN)" && python'
        in exported.text
    )
    assert '--extra-index-url "https://user:${TEAM_TOKEN}@host.test/simple"' in exported.text
    assert "--secret id=TEAM_TOKEN,env=TEAM_TOKEN" in exported.use[0]


def test_dockerfile_for_a_gpu_sets_the_library_path() -> None:
    text = dockerfile.export(GPU).text
    assert 'ENV LD_LIBRARY_PATH="/opt/colabenv/cuda/lib"' in text
    assert "--gpus all" in dockerfile.export(GPU).use[1]


def test_dockerfile_omits_and_reports_unsupported_values() -> None:
    request = dataclasses.replace(REQUEST, variables={"LINES": "a\nb"}, indexes=(("here", "file:///wheels"),))
    exported = dockerfile.export(request)
    assert "LINES" not in exported.text
    assert len(exported.notes) == 2


FILES: dict[str, Any] = {
    "packages": [
        {
            "name": "NumPy",
            "wheels": [
                {"url": "https://user:secret@host.test/numpy-1.26.4-cp311-cp311-manylinux_2_17_x86_64.whl?k=v#x",
                 "hashes": {"sha256": ONE}, "size": 7},
                {"url": "https://host.test/numpy-1.26.4-cp311-cp311-win_amd64.whl", "hashes": {"sha256": "9" * 64}},
            ],
            "sdist": {"url": "https://host.test/numpy-1.26.4.tar.gz", "hashes": {"sha256": TWO}},
        },
        {"name": "old", "sdist": {"url": "https://host.test/old-2.0.tar.gz", "hashes": {"sha256": THREE}}},
    ]
}  # fmt: skip


def test_pylock_is_valid_without_credentials() -> None:
    exported = pylock.export(TEAM, pylock.parse_index_files(FILES))
    document = tomllib.loads(exported.text)
    parsed = Pylock.from_dict(document)
    assert str(parsed.requires_python) == "<3.12,>=3.11"
    assert [(package.name, str(package.version)) for package in parsed.packages] == [
        ("numpy", "1.26.4"),
        ("old", "2.0"),
    ]
    assert parsed.packages[0].sdist is None
    assert document["packages"][0]["wheels"] == [
        {
            "name": "numpy-1.26.4-cp311-cp311-manylinux_2_17_x86_64.whl",
            "url": "https://host.test/numpy-1.26.4-cp311-cp311-manylinux_2_17_x86_64.whl",
            "size": 7,
            "hashes": {"sha256": ONE},
        }
    ]
    assert document["packages"][1]["sdist"]["hashes"] == {"sha256": THREE}
    assert is_valid_pylock_path(Path(exported.file_name))


@pytest.mark.parametrize("name", ["vision-2023", "tf-2.15"])
def test_pylock_has_a_valid_file_name(name: str) -> None:
    lock = dataclasses.replace(LOCK, header=dataclasses.replace(LOCK.header, profile=name))
    exported = pylock.export(dataclasses.replace(TEAM, lock=lock), pylock.parse_index_files(FILES))
    assert is_valid_pylock_path(Path(exported.file_name))


def test_package_without_a_file_that_matches_the_lock_is_an_error() -> None:
    with pytest.raises(LockError, match=r"no file of old 2\.0 with a hash of the lock"):
        pylock.export(REQUEST, {"numpy": pylock.parse_index_files(FILES)["numpy"]})
    other = {"numpy": (IndexFile("https://host.test/n.whl", "8" * 64, None, wheel=True),)}
    with pytest.raises(LockError, match="numpy"):
        pylock.export(REQUEST, other)


def test_toml_strings_are_escaped() -> None:
    url = 'https://host.test/a"b\\c\x07.whl'
    exported = pylock.export(
        dataclasses.replace(REQUEST, lock=dataclasses.replace(LOCK, pins=PINS[:1])),
        {"numpy": (IndexFile(url, ONE, None, wheel=True),)},
    )
    assert tomllib.loads(exported.text)["packages"][0]["wheels"][0]["url"] == url
