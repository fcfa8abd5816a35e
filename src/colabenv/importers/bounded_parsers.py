"""Parse TOML and YAML from untrusted files: plain data, bounded in depth and size."""

from __future__ import annotations

from typing import Any, Final

import yaml

from colabenv._compat import tomllib
from colabenv.errors import UsageError
from colabenv.profile.document import is_depth_error

MAX_DEPTH: Final = 20
MAX_NODES: Final = 50_000
_WRONG_FILE: Final = "Check that this is the right file."
# Constructs text, lists and dictionaries only.
_LOADER: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """Parse TOML; `name` is the file's name in messages. Raises UsageError if the text is not TOML."""
    try:
        return dict(tomllib.loads(text))
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"{name} is not valid TOML: {why[:200]}.", hint=_WRONG_FILE) from None


def parse_yaml(text: str, name: str) -> Any:
    """Parse the first YAML document with every scalar as text, so that `3.10` stays 3.10.

    Counts parser events first, because PyYAML's composer recurses and deep nesting would crash the process.

    Raises:
        UsageError: the text is not YAML, has aliases, or is too large or too deeply nested.
    """
    too_large = UsageError(
        f"{name} is too large or too deeply nested for an environment file.", hint=_WRONG_FILE
    )
    depth = 0
    try:
        for count, event in enumerate(yaml.parse(text, Loader=_LOADER)):
            if isinstance(event, yaml.AliasEvent):
                hint = "Replace the alias by the value itself."
                raise UsageError(f"{name} has a YAML alias (*{event.anchor}).", hint=hint)
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if count > MAX_NODES or depth >= MAX_DEPTH:
                raise too_large
        return next(yaml.load_all(text, Loader=_LOADER), None)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        if isinstance(error, yaml.YAMLError) and is_depth_error(error):
            raise too_large from None
        mark = getattr(error, "problem_mark", None)
        location = f", line {mark.line + 1}" if mark else ""
        problem = str(getattr(error, "problem", None) or "it cannot be read")[:200]
        raise UsageError(f"{name}{location}: invalid YAML ({problem}).", hint=_WRONG_FILE) from None
