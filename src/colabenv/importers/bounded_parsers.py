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
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """Parse TOML; `name` is the file's name in messages.

    Raises:
        UsageError: the text is not TOML.
    """
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"{name} is not valid TOML: {why[:200]}.", hint=_WRONG_FILE) from None
    return document


def parse_yaml(text: str, name: str) -> Any:
    """Parse YAML with every scalar as text, so that `3.10` stays 3.10; `name` is the file's name in messages.

    Reads parser events, because PyYAML's composer recurses and deep nesting would crash the process.

    Raises:
        UsageError: the text is not YAML, has aliases, or is too large or too deeply nested.
    """
    too_large = UsageError(
        f"{name} is too large or too deeply nested for an environment file.", hint=_WRONG_FILE
    )
    holders: list[Any] = [[]]
    keys: list[str | None] = [None]
    try:
        for count, event in enumerate(yaml.parse(text, Loader=_LOADER)):
            if count > MAX_NODES or len(holders) > MAX_DEPTH:
                raise too_large
            _take(event, holders, keys, name)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        if isinstance(error, yaml.YAMLError) and is_depth_error(error):
            raise too_large from None
        mark = getattr(error, "problem_mark", None)
        location = f", line {mark.line + 1}" if mark else ""
        problem = str(getattr(error, "problem", None) or "it cannot be read")[:200]
        raise UsageError(f"{name}{location}: invalid YAML ({problem}).", hint=_WRONG_FILE) from None
    return holders[0][0] if holders[0] else None


def _take(event: Any, holders: list[Any], keys: list[str | None], name: str) -> None:
    """Add an event's value to its parent; for each open mapping, `keys` has the key that waits for its value."""
    if isinstance(event, yaml.CollectionEndEvent):
        holders.pop()
        keys.pop()
        return
    if isinstance(event, yaml.AliasEvent):
        raise UsageError(
            f"{name} has a YAML alias (*{event.anchor}).", hint="Replace the alias by the value itself."
        )
    if not isinstance(event, yaml.NodeEvent):
        return
    value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
    if isinstance(event, yaml.ScalarEvent):
        value = event.value
    holder = holders[-1]
    if isinstance(holder, list):
        holder.append(value)
    elif keys[-1] is None:
        keys[-1] = value if isinstance(value, str) else "?"
    else:
        holder[keys[-1]] = value
        keys[-1] = None
    if not isinstance(value, str):
        holders.append(value)
        keys.append(None)
