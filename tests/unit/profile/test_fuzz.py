"""Any bytes load as a profile or raise a `ProfileError` that can be printed and written as JSON."""

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

# All examples of a test share one folder; each writes the same two files.
FUZZ = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)

KEYS = [*Profile.model_fields, "tensorflow", "url", "imports", "code", "gpu", "google_colab", "packges", "<<"]
FRAGMENTS = [
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
FRAGMENTS += [
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
FRAGMENTS += [f"{key}: " for key in KEYS]
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20) | st.sampled_from(KEYS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


def load_or_fail_cleanly(folder: Path, profile: bytes, requirements: bytes = b"") -> None:
    """Load a profile, and check the error if it is invalid."""
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


@FUZZ
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    load_or_fail_cleanly(tmp_path, data)


@FUZZ
@given(st.text(max_size=200))
def test_any_text(tmp_path: Path, text: str) -> None:
    load_or_fail_cleanly(tmp_path, text.encode("utf-8", "surrogatepass"))


@FUZZ
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40))
def test_yaml_fragments(tmp_path: Path, fragments: list[str]) -> None:
    load_or_fail_cleanly(tmp_path, ("name: x\n" + "".join(fragments)).encode())


@FUZZ
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8))
def test_any_structure(tmp_path: Path, data: dict[str, Any]) -> None:
    # Nearly all JSON is YAML; the rest is a useful case too.
    load_or_fail_cleanly(tmp_path, json.dumps({"name": "x", **data}).encode())


@FUZZ
@given(st.sampled_from(["packages", "requirements", "source_builds", "name", "python"]), st.text(max_size=60))
def test_any_text_as_a_value(tmp_path: Path, key: str, text: str) -> None:
    value: Any = text if key in ("name", "python") else [text]
    load_or_fail_cleanly(tmp_path, json.dumps({"name": "x", key: value}).encode())


@FUZZ
@given(
    st.lists(
        st.sampled_from(["a", "==1", "\n", "-r ", "r.txt", "--hash=", "\\\n", "#", ";", "(", "[", " ", "@"])
    )
)
def test_any_requirements(tmp_path: Path, fragments: list[str]) -> None:
    load_or_fail_cleanly(tmp_path, b"name: x\nrequirements: [r.txt]", "".join(fragments).encode())


@pytest.mark.parametrize(
    "fragment", ["a: 1\n", "- ", "[[", "'", "#", "a", "\n", "&a ", "? - ", "(", "\\\n", "a;"]
)
def test_one_mebibyte_of_repeated_text(tmp_path: Path, fragment: str) -> None:
    data = (fragment * (1024 * 1024 // len(fragment))).encode()
    load_or_fail_cleanly(tmp_path, data, data)
    load_or_fail_cleanly(tmp_path, b"name: x\nrequirements: [r.txt]", data)


def test_package_imports_no_slow_library() -> None:
    code = (
        "import sys, colabenv.profile, colabenv.profile.files;"
        "print([m for m in ('pydantic', 'yaml', 'packaging') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
