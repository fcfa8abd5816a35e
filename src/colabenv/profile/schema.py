"""The JSON Schema of a profile, generated from the model for completion and checks in editors."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from colabenv.profile.model import Profile


class _SchemaGenerator(GenerateJsonSchema):
    """Pydantic's generator without null, which a profile does not allow, and without empty defaults."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        generated = super().default_schema(schema)
        if not isinstance(generated.get("default"), str):  # None, [] and {} mean that the key is left out.
            generated.pop("default", None)
        return generated


def build_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of a profile as an editor reads it, where 3.11 may be a number."""
    generated = Profile.model_json_schema(schema_generator=_SchemaGenerator)
    return {"$schema": GenerateJsonSchema.schema_dialect, **generated, "title": "colabenv profile"}


def render_schema() -> str:
    """The content of `schema.json`."""
    return json.dumps(build_schema(), indent=2, ensure_ascii=False) + "\n"
