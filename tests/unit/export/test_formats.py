"""The formats of `export`: what a tool would read out of each text."""

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
SUBJECT = ExportRequest(LOCK, "3.11.9", {"GREETING": 'say "hi" to $you \\o/'})
TEAM = dataclasses.replace(
    SUBJECT,
    indexes=(("team", "https://user:${TEAM_TOKEN}@host.test/simple"),),
    source_builds=("old", "absent"),
)
GPU = dataclasses.replace(
    SUBJECT,
    lock=dataclasses.replace(
        LOCK,
        header=dataclasses.replace(LOCK.header, variant="gpu"),
        pins=(*PINS, Pin("nvidia-cudnn-cu12", "8.9", (f"sha256:{ONE}",))),
    ),
)


def test_requirements_contain_the_pins_and_pip_options() -> None:
    text = requirements.export(SUBJECT).text
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
    made = yaml.safe_load(conda.export(TEAM).text)
    assert made["name"] == "vision-2023"
    assert made["dependencies"][:2] == ["python=3.11.9", "pip"]
    assert made["dependencies"][2] == {
        "pip": [
            "--extra-index-url https://user:${TEAM_TOKEN}@host.test/simple",
            "--only-binary :all:",
            "--no-binary old",
            f"numpy==1.26.4 --hash=sha256:{ONE} --hash=sha256:{TWO}",
            f"old==2.0 --hash=sha256:{THREE}",
        ]
    }
    assert made["variables"] == {"PYTHONNOUSERSITE": "1", **SUBJECT.variables}
    assert any("LD_LIBRARY_PATH" in note for note in conda.export(GPU).notes)


def test_ray_file_contains_the_pins_without_ray() -> None:
    made = ray.export(TEAM)
    runtime = json.loads(made.text)
    assert runtime == yaml.safe_load(made.text), "`ray job submit` reads it as YAML"
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
    assert runtime["env_vars"]["GREETING"] == SUBJECT.variables["GREETING"]
    with_ray = dataclasses.replace(LOCK, pins=(*PINS, Pin("ray", "2.60.0", (f"sha256:{ONE}",))))
    other = ray.export(dataclasses.replace(SUBJECT, lock=with_ray))
    assert json.loads(other.text)["uv"]["packages"] == runtime["uv"]["packages"]
    assert any("2.60.0" in note for note in other.notes)


def instructions(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return "\n".join(lines).replace("\\\n", " ").splitlines()


def test_dockerfile_installs_the_lock_beside_it() -> None:
    made = dockerfile.export(SUBJECT)
    steps = instructions(made.text)
    assert steps[0] == "FROM python:3.11.9-slim"
    assert json.loads(steps[1].removeprefix("COPY "))[0] == made.beside[0][0] == "vision-2023.cpu.lock.txt"
    assert parse_pins(made.beside[0][1], "lock") == PINS
    assert "--require-hashes" in steps[2]
    assert steps[-2] == 'ENV GREETING="say \\"hi\\" to \\$you \\\\o/"'
    assert "LD_LIBRARY_PATH" not in made.text


def test_source_build_needs_a_compiler_and_keeps_secrets() -> None:
    made = dockerfile.export(TEAM)
    assert "FROM python:3.11.9\n" in made.text
    assert "--no-binary old" in made.text
    assert "absent" not in made.text
    assert (
        'RUN --mount=type=secret,id=TEAM_TOKEN export TEAM_TOKEN="$(cat /run/secrets/TEAM_TOKEN)" && python'
        in made.text
    )
    assert '--extra-index-url "https://user:${TEAM_TOKEN}@host.test/simple"' in made.text
    assert "--secret id=TEAM_TOKEN,env=TEAM_TOKEN" in made.use[0]


def test_gpu_image_sets_its_library_path() -> None:
    text = dockerfile.export(GPU).text
    assert 'ENV LD_LIBRARY_PATH="/opt/colabenv/cuda/lib"' in text
    assert "--gpus all" in dockerfile.export(GPU).use[1]


def test_dockerfile_leaves_out_and_reports_unsupported_values() -> None:
    odd = dataclasses.replace(SUBJECT, variables={"LINES": "a\nb"}, indexes=(("here", "file:///wheels"),))
    made = dockerfile.export(odd)
    assert "LINES" not in made.text
    assert len(made.notes) == 2


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
    made = pylock.export(TEAM, pylock.parse_index_files(FILES))
    document = tomllib.loads(made.text)
    read = Pylock.from_dict(document)
    assert str(read.requires_python) == "<3.12,>=3.11"
    assert [(package.name, str(package.version)) for package in read.packages] == [
        ("numpy", "1.26.4"),
        ("old", "2.0"),
    ]
    assert read.packages[0].sdist is None
    assert document["packages"][0]["wheels"] == [
        {
            "name": "numpy-1.26.4-cp311-cp311-manylinux_2_17_x86_64.whl",
            "url": "https://host.test/numpy-1.26.4-cp311-cp311-manylinux_2_17_x86_64.whl",
            "size": 7,
            "hashes": {"sha256": ONE},
        }
    ]
    assert document["packages"][1]["sdist"]["hashes"] == {"sha256": THREE}
    assert is_valid_pylock_path(Path(made.file_name))


@pytest.mark.parametrize("name", ["vision-2023", "tf-2.15"])
def test_pylock_has_a_valid_file_name(name: str) -> None:
    lock = dataclasses.replace(LOCK, header=dataclasses.replace(LOCK.header, profile=name))
    made = pylock.export(dataclasses.replace(TEAM, lock=lock), pylock.parse_index_files(FILES))
    assert is_valid_pylock_path(Path(made.file_name))


def test_files_without_a_locked_hash_are_ignored() -> None:
    with pytest.raises(LockError, match=r"no file of old 2\.0 with a hash of the lock"):
        pylock.export(SUBJECT, {"numpy": pylock.parse_index_files(FILES)["numpy"]})
    other = {"numpy": (IndexFile("https://host.test/n.whl", "8" * 64, None, wheel=True),)}
    with pytest.raises(LockError, match="numpy"):
        pylock.export(SUBJECT, other)


def test_toml_strings_are_escaped() -> None:
    url = 'https://host.test/a"b\\c\x07.whl'
    made = pylock.export(
        dataclasses.replace(SUBJECT, lock=dataclasses.replace(LOCK, pins=PINS[:1])),
        {"numpy": (IndexFile(url, ONE, None, wheel=True),)},
    )
    assert tomllib.loads(made.text)["packages"][0]["wheels"][0]["url"] == url
