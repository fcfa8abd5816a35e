"""The JSON Schema of a profile, made from the model, so that editors complete and check."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from colabenv.profile.model import Profile


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, without what a profile cannot have: a key that is there has a value."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        # Only a default that is a word tells a reader something; None, [] and {} mean the key is left out.
        return made if isinstance(made.get("default"), str) else {k: made[k] for k in made if k != "default"}


def schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12, of a profile as an editor reads it, where 3.11 may be a number."""
    made = Profile.model_json_schema(schema_generator=_Generator)
    return {"$schema": GenerateJsonSchema.schema_dialect, **made, "title": "colabenv profile"}


def schema_text() -> str:
    """The content of `schema.json`."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
