"""The JSON Schema that editors use: up to date, and it takes what `load` takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from colabenv.profile import schema

REPOSITORY = Path(__file__).resolve().parents[3]
SHIPPED = REPOSITORY / "src" / "colabenv" / "profile" / "schema.json"


@pytest.fixture(scope="module")
def validator() -> Any:
    shipped = json.loads(SHIPPED.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(shipped)
    return Draft202012Validator(shipped)


def test_schema_json_is_up_to_date() -> None:
    shipped = json.loads(SHIPPED.read_text(encoding="utf-8"))
    assert shipped == json.loads(schema.render_schema()), "run scripts/refresh-schema"


def test_every_key_is_described() -> None:
    made = schema.build_schema()
    for part in [made, *made["$defs"].values()]:
        assert part["description"]
        for key, value in part["properties"].items():
            assert value.get("description") or "$ref" in value, key


@pytest.mark.parametrize(
    "text",
    [
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
    ],
)
def test_schema_accepts_valid_profiles_as_editors_read_them(validator: Any, text: str) -> None:
    assert list(validator.iter_errors(yaml.safe_load(text))) == []


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "name: X",
        "name: ../x",
        "name: x\npackges: []",
        "name: x\npython: 3.14",
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
    ],
)
def test_schema_refuses_invalid_profiles(validator: Any, text: str) -> None:
    assert list(validator.iter_errors(yaml.safe_load(text))) != []


def test_schema_accepts_builtin_profiles(validator: Any) -> None:
    for path in sorted((REPOSITORY / "profiles").glob("*.yaml")):
        assert list(validator.iter_errors(yaml.safe_load(path.read_text(encoding="utf-8")))) == []
