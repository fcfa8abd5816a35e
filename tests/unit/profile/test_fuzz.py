"""Whatever the bytes, a profile loads or ends in a `ProfileError` that can be printed and sent as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colabenv.errors import ProfileError
from colabenv.profile.load import LoadedProfile, load
from colabenv.profile.model import Profile

# One folder serves all examples of a test: each example writes the same two files again.
QUICK = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)

KEYS = [*Profile.model_fields, "tensorflow", "url", "imports", "code", "gpu", "google_colab", "packges", "<<"]
SCRAPS = [
    "name",
    ": ",
    "\n",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "'",
    '"',
    "#",
    "&a ",
    "*a",
    "!x ",
    "|",
    ">",
    "? ",
    "\t",
]
SCRAPS += [
    "---\n",
    "...\n",
    "  ",
    "~",
    "3.10",
    "x",
    "\\",
    "%YAML 1.2\n",
    "\ufeff",
    "\u2028",
    "\x85",
    "\r",
    "@",
    "`",
]
SCRAPS += [f"{key}: " for key in KEYS]
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20) | st.sampled_from(KEYS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


def accept(folder: Path, profile: bytes, requirements: bytes = b"") -> None:
    path = folder / "p.yaml"
    path.write_bytes(profile)
    (folder / "r.txt").write_bytes(requirements)
    try:
        loaded = load(path)
    except ProfileError as error:
        assert error.message.startswith(str(folder))
        assert error.hint.isprintable()
        json.dumps(error.as_dict()).encode("utf-8")
        str(error.as_dict()).encode("utf-8")
    else:
        assert isinstance(loaded, LoadedProfile)
    assert sorted(entry.name for entry in folder.iterdir()) == ["p.yaml", "r.txt"]


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    accept(tmp_path, data)


@QUICK
@given(st.text(max_size=200))
def test_any_text(tmp_path: Path, text: str) -> None:
    accept(tmp_path, text.encode("utf-8", "surrogatepass"))


@QUICK
@given(st.lists(st.sampled_from(SCRAPS), max_size=40))
def test_yaml_fragments(tmp_path: Path, scraps: list[str]) -> None:
    accept(tmp_path, ("name: x\n" + "".join(scraps)).encode())


@QUICK
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8))
def test_any_structure(tmp_path: Path, data: dict[str, Any]) -> None:
    # JSON is YAML, nearly; what is not is a case as well.
    accept(tmp_path, json.dumps({"name": "x", **data}).encode())


@QUICK
@given(st.sampled_from(["packages", "requirements", "source_builds", "name", "python"]), st.text(max_size=60))
def test_any_text_as_a_value(tmp_path: Path, key: str, text: str) -> None:
    value: Any = text if key in ("name", "python") else [text]
    accept(tmp_path, json.dumps({"name": "x", key: value}).encode())


@QUICK
@given(
    st.lists(
        st.sampled_from(["a", "==1", "\n", "-r ", "r.txt", "--hash=", "\\\n", "#", ";", "(", "[", " ", "@"])
    )
)
def test_any_requirements(tmp_path: Path, scraps: list[str]) -> None:
    accept(tmp_path, b"name: x\nrequirements: [r.txt]", "".join(scraps).encode())


@pytest.mark.parametrize(
    "scrap", ["a: 1\n", "- ", "[[", "'", "#", "a", "\n", "&a ", "? - ", "(", "\\\n", "a;"]
)
def test_one_mebibyte_of_repeated_text(tmp_path: Path, scrap: str) -> None:
    data = (scrap * (1024 * 1024 // len(scrap))).encode()
    accept(tmp_path, data, data)
    accept(tmp_path, b"name: x\nrequirements: [r.txt]", data)


def test_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, colabenv.profile, colabenv.profile.files;"
        "print([m for m in ('pydantic', 'yaml', 'packaging') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
