"""Validate a document against the model, and turn pydantic's errors into problems with locations and hints."""

from __future__ import annotations

import re
from collections.abc import Container
from difflib import get_close_matches
from typing import Any, Final, TypeAlias

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from colabenv.profile.document import Mapping, Node, Scalar, Sequence
from colabenv.profile.model import Index, KernelSettings, Profile, Stack, Verify
from colabenv.profile.problems import Location, Problem, sanitize

Path: TypeAlias = tuple[str | int, ...]
_PARTS: Final[dict[str, type[BaseModel]]] = {
    "stack": Stack,
    "indexes": Index,
    "kernel": KernelSettings,
    "verify": Verify,
}
# Explaining ten thousand errors would take seconds, and nobody reads them.
MAX_EXPLAINED: Final = 1000
# Keys of other tools.
_SYNONYMS: Final = {"dependencies": "packages", "pip": "packages", "environment": "env", "variables": "env"}


def validate_document(top: Mapping, *, extended: bool = False) -> tuple[Profile | None, list[Problem]]:
    """The profile, or None and its problems; if another profile extends it (`extended`), it does not need a name."""
    places: dict[Path, tuple[Location, Node]] = {}
    data = _to_data(top, (), places)
    if extended:
        data.setdefault("name", "extended")
    places[()] = (top.location, top)
    empty = {path: location for path, (location, node) in places.items() if _is_empty(node)}
    problems = [
        _empty_problem(path, location)
        for path, location in empty.items()
        if not getattr(places[path][1], "alias", False)
    ]
    try:
        profile = Profile.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)[:MAX_EXPLAINED]
        unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
        problems += [_problem(detail, places) for detail in details if _is_new(detail, empty, unknown)]
        return None, problems
    return (None if problems else profile), problems


def find_location(top: Mapping, *path: str | int) -> Location:
    """The location of the value at `path`, or of its closest parent."""
    node: Node = top
    for step in path:
        if isinstance(node, Mapping) and isinstance(step, str) and step in node.entries:
            node = node.entries[step][1]
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
    return node.location


def _to_data(node: Node, path: Path, places: dict[Path, tuple[Location, Node]]) -> Any:
    """The document as data for pydantic, without the keys that have no value; fills `places`."""
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Sequence):
        # Empty items stay, so that the indices of the others stay right.
        places.update({(*path, number): (child.location, child) for number, child in enumerate(node.items)})
        return [_to_data(child, (*path, number), places) for number, child in enumerate(node.items)]
    places.update({(*path, key): entry for key, entry in node.entries.items()})
    return {
        key: _to_data(child, (*path, key), places)
        for key, (_, child) in node.entries.items()
        if not _is_empty(child)
    }


def _is_empty(node: Node) -> bool:
    return isinstance(node, Scalar) and (node.null or node.alias)


def _is_new(detail: ErrorDetails, empty: Container[Path], unknown: list[Path]) -> bool:
    """Whether an error is not the consequence of another: an empty or misspelt key is not also missing."""
    path = detail["loc"]
    if path in empty:
        return False
    beside = [str(other[-1]) for other in unknown if other[:-1] == path[:-1]]
    return detail["type"] != "missing" or not get_close_matches(str(path[-1]), beside, n=1)


def _empty_problem(path: Path, location: Location) -> Problem:
    key = str(path[-1])
    if isinstance(path[-1], int):
        return Problem(
            "this list item is empty", location, hint="Remove the line, or put the text in quotes."
        )
    hint = "Add a value after the colon, or remove the line."
    if path[0] == "env" and len(path) == 2:
        hint = 'For an empty variable, write "" after the colon.'
    elif path[:-1] == () and key in ("extends", "packages", "requirements", "indexes", "source_builds"):
        hint = f"List the items below it, each after '- ', or remove the line. An empty list is `{key}: []`."
    return Problem("key {value} has no value", location, key, hint)


def _problem(detail: ErrorDetails, places: dict[Path, tuple[Location, Node]]) -> Problem:
    path = tuple(step for step in detail["loc"] if step != "[key]")
    is_key = "[key]" in detail["loc"]
    closest = path
    while closest not in places:
        closest = closest[:-1]
    key_location, node = places[closest]
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(path, key_location)
    if kind == "missing":
        return _missing_key(path, key_location)
    if kind == "refused":
        message, hint = _prefix_path(path, context["problem"], is_key), context["hint"]
        if is_key:
            return Problem(message, key_location, str(path[-1]), hint)
        value = node.text if isinstance(node, Scalar) and not context["secret"] else None
        return Problem(message, node.location, value, hint)
    if kind == "literal_error":
        return _wrong_choice(path, node, str(context["expected"]))
    return _wrong_shape(path, kind, detail["msg"], node)


def _dotted(path: Path) -> str:
    """`indexes.url`; the location shows which item it is."""
    return ".".join(str(step) for step in path if isinstance(step, str)) or "the profile"


def _prefix_path(path: Path, message: str, is_key: bool = False) -> str:
    return f"{_dotted(path[:1] if is_key else path)}: {message}"


def _unknown_key(path: Path, location: Location) -> Problem:
    key, parent = str(path[-1]), tuple(step for step in path[:-1] if isinstance(step, str))
    model = _PARTS[parent[0]] if parent else Profile
    valid = list(model.model_fields)
    where = f" in `{'.'.join(parent)}`" if parent else ""
    return Problem("unknown key {value}" + where, location, key, _key_hint(key, valid, parent))


def _key_hint(key: str, valid: list[str], parent: tuple[str, ...]) -> str:
    if key == "<<":
        return "Profiles do not support YAML merge keys. Write the keys themselves."
    if near := get_close_matches(key.lower().replace("-", "_")[:100], valid, n=1):
        return f"Did you mean '{near[0]}'?"
    if not parent and key in _SYNONYMS:
        return f"Did you mean '{_SYNONYMS[key]}'?"
    homes = [name for name, part in _PARTS.items() if key in part.model_fields and (name,) != parent]
    if homes:
        return f"'{key}' belongs under '{homes[0]}'."
    if parent and key in Profile.model_fields:
        return f"'{key}' is a top-level key. Do not indent it under '{parent[0]}'."
    return f"Valid keys: {', '.join(valid)}."


def _missing_key(path: Path, location: Location) -> Problem:
    key = str(path[-1])
    if path == ("name",):
        hint = "Add a line such as `name: vision-2023`."
        return Problem("the profile has no name", Location(location.source), hint=hint)
    return Problem(
        f"{_dotted(path[:-1])}: missing key '{key}'", location, hint=f"Add `{key}: …` to this entry."
    )


def _wrong_choice(path: Path, node: Node, expected: str) -> Problem:
    choices = re.findall(r"'([^']*)'", expected)
    listed = " or ".join(filter(None, (", ".join(choices[:-1]), choices[-1])))
    if not isinstance(node, Scalar):
        return Problem(_prefix_path(path, "expected a single word"), node.location, None, f"Use {listed}.")
    hint = f"Use {listed}."
    if near := get_close_matches(node.text.lower()[:100], choices, n=1):
        hint = f"Did you mean '{near[0]}'? {hint}"
    elif "off" in choices and node.text.lower() in ("false", "no", "true", "yes"):
        hint = f"Did you mean '{'off' if node.text.lower() in ('false', 'no') else 'on'}'? {hint}"
    return Problem(_prefix_path(path, "invalid value {value}"), node.location, node.text, hint)


_SHAPES: Final = {
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
}


def _wrong_shape(path: Path, kind: str, message: str, node: Node) -> Problem:
    value = node.text if isinstance(node, Scalar) and "url" not in path else None
    expected = _SHAPES.get(kind)
    if expected is None:
        hint = "See docs/profile.md for the values of this key."
        return Problem(_prefix_path(path, message), node.location, value, hint)
    actual = {Scalar: "text", Sequence: "a list", Mapping: "keys with values"}[type(node)]
    key = next((step for step in reversed(path) if isinstance(step, str)), "")
    problem = _prefix_path(path, f"expected {expected}, found {actual}")
    return Problem(problem, node.location, value, _shape_hint(expected, key, value, node))


def _shape_hint(expected: str, key: str, value: str | None, node: Node) -> str:
    if expected == "a list":
        item = sanitize(value) if value else "…"
        if key == "indexes":
            return 'Write a list such as `indexes: [{name: team, url: "https://host/simple"}]`.'
        return f'Write a list, even for a single item: `{key}: ["{item}"]`.'
    if expected == "text":
        if isinstance(node, Mapping):
            return "If the text contains a colon followed by a space, put it in double quotes."
        return "Write a single value, without brackets or '- '."
    example = {
        "stack": 'stack: {tensorflow: "2.15.1"}',
        "env": 'env: {TF_CPP_MIN_LOG_LEVEL: "2"}',
        "indexes": 'indexes: [{name: team, url: "https://host/simple"}]',
        "kernel": "kernel: {google_colab: auto}",
        "verify": "verify: {imports: [tensorflow]}",
    }.get(key)
    return f"Write it as in `{example}`." if example else "Write one `key: value` on each line."
