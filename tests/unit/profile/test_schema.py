"""The JSON Schema for editors is up to date and accepts the profiles that `load` accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from colabenv.profile import schema

REPOSITORY = Path(__file__).resolve().parents[3]
SCHEMA_JSON = REPOSITORY / "src" / "colabenv" / "profile" / "schema.json"


@pytest.fixture(scope="module")
def validator() -> Any:
    committed = json.loads(SCHEMA_JSON.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(committed)
    return Draft202012Validator(committed)


def is_valid(validator: Any, text: str) -> bool:
    """Whether the schema accepts a profile, which YAML 1.1 reads as most editors do."""
    return list(validator.iter_errors(yaml.safe_load(text))) == []


def test_schema_json_is_up_to_date() -> None:
    committed = json.loads(SCHEMA_JSON.read_text(encoding="utf-8"))
    assert committed == json.loads(schema.render_schema()), "run scripts/refresh-schema"


def test_every_key_has_a_description() -> None:
    root = schema.build_schema()
    for definition in [root, *root["$defs"].values()]:
        assert definition["description"]
        for key, value in definition["properties"].items():
            assert value.get("description") or "$ref" in value, key


def test_schema_accepts_valid_profiles(validator: Any) -> None:
    profiles = [
        "name: x",
        'name: x\npython: "3.10"',
        "name: x\npython: 3.10",
        "name: x\npython: 3.13",
        "name: x\npython: 3.10.13",
        "name: 2023\nstack: {tensorflow: 2.15, keras: '2.15.0', accelerator: cpu}",
        "name: x\nenv: {A: 2, B: yes, C: '', D: text}",
        "name: x\nindexes: [{name: t, url: 'https://u:${T}@h/s'}, {name: v, url: '${V}'}]",
        'name: x\nkernel: {display_name: X, google_colab: "off"}\nverify: {imports: [a.b], gpu: required}',
        "name: x\nstore: gs://b/f",
        "name: x\nstore: none",
        "name: x\nstore: '${STORE}'",
        "name: x\npackages: [a==1, b]\nrequirements: [r.txt]\nsource_builds: [c]",
    ]
    assert [text for text in profiles if not is_valid(validator, text)] == []


def test_schema_refuses_invalid_profiles(validator: Any) -> None:
    profiles = [
        "{}",
        "name: X",
        "name: ../x",
        "name: x\npackges: []",
        "name: x\npython: 3.15",
        "name: x\npackages:",
        "name: x\npackages: a",
        "name: x\nenv: {PATH: x}",
        "name: x\nenv: {PIP_USER: 1}",
        "name: x\nstack: 2",
        "name: x\nstack: {accelerator: tpu}",
        "name: x\nindexes: [{name: t}]",
        "name: x\nrequirements: [/x]",
        "name: x\nstore: folder",
        "name: x\nstore: ftp:h/f",
    ]
    assert [text for text in profiles if is_valid(validator, text)] == []


def test_schema_accepts_builtin_profiles(validator: Any) -> None:
    for path in sorted((REPOSITORY / "profiles").glob("*.yaml")):
        assert is_valid(validator, path.read_text(encoding="utf-8")), path.name
