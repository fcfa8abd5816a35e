"""TOML and YAML of strangers bounded in depth and size, and plain data only. Pure."""

from __future__ import annotations

from typing import Any, Final

import yaml

from colabenv._compat import tomllib
from colabenv.errors import UsageError
from colabenv.profile.document import is_depth_error

MAX_DEPTH: Final = 20
MAX_NODES: Final = 50_000
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def toml(text: str, name: str) -> dict[str, Any]:
    """The document.

    Args:
        text: its text.
        name: of the file, for messages.

    Raises:
        UsageError: it is no TOML.
    """
    try:
        found: dict[str, Any] = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"{name} is not TOML: {why[:200]}.", hint="Is it the file you meant?") from None
    return found


def yaml_tree(text: str, name: str) -> Any:
    """The document: each value is the text that stands there, so that `3.10` stays 3.10. No aliases, one document.

    PyYAML's own composer recurses, and deep nesting ends the process there; its events do not.

    Args:
        text: its text.
        name: of the file, for messages.

    Raises:
        UsageError: it is no YAML, or beyond the bounds.
    """
    too_large = UsageError(
        f"{name} is too large or too deeply nested for an environment file.", hint="Is it the file you meant?"
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
        place = f", line {mark.line + 1}" if mark else ""
        problem = str(getattr(error, "problem", None) or "it cannot be read")[:200]
        raise UsageError(
            f"{name}{place}: this is not YAML ({problem}).", hint="Is it the file you meant?"
        ) from None
    return holders[0][0] if holders[0] else None


def _take(event: Any, holders: list[Any], keys: list[str | None], name: str) -> None:
    """Put one event's value where it belongs; `keys` holds the key that waits for its value, for each open mapping."""
    if isinstance(event, yaml.CollectionEndEvent):
        holders.pop()
        keys.pop()
        return
    if isinstance(event, yaml.AliasEvent):
        raise UsageError(
            f"{name} has an alias (*{event.anchor}).", hint="Write the value out where it is needed."
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
