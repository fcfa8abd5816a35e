"""From the tree of a document to the model, and from pydantic's errors to ours. Pure."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from difflib import get_close_matches
from typing import Any, Final, TypeAlias

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from colabenv.profile.document import Mapping, Node, Sequence, Text
from colabenv.profile.model import Index, KernelSettings, Profile, Stack, Verify
from colabenv.profile.problems import Place, Problem, shown

Path: TypeAlias = tuple[str | int, ...]
_PARTS: Final[dict[str, type[BaseModel]]] = {
    "stack": Stack,
    "indexes": Index,
    "kernel": KernelSettings,
    "verify": Verify,
}
# More than anyone reads; explaining ten thousand would take seconds.
MAX_EXPLAINED: Final = 1000
# Names that people bring from other tools and that no spelling leads to.
_SYNONYMS: Final = {"dependencies": "packages", "pip": "packages", "environment": "env", "variables": "env"}


def validate(top: Mapping, *, extended: bool = False) -> tuple[Profile | None, list[Problem]]:
    """The profile that the tree describes, or None and everything that is wrong with it.

    Args:
        top: the tree.
        extended: whether another profile extends it; it need not have a name then.
    """
    places: dict[Path, tuple[Place, Node]] = {}
    data = _plain(top, (), places)
    if extended:
        data.setdefault("name", "extended")
    places[()] = (top.place, top)
    void = {path: place for path, (place, node) in places.items() if _is_void(node)}
    problems = [_null_problem(path, void[path]) for path in void if not _is_alias(places[path][1])]
    try:
        profile = Profile.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)[:MAX_EXPLAINED]
        unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
        problems += [_problem(detail, places) for detail in details if _is_news(detail, void, unknown)]
        return None, problems
    return (None if problems else profile), problems


def place_of(top: Mapping, *path: str | int) -> Place:
    """Where the value at `path` stands."""
    node: Node = top
    for step in path:
        if isinstance(node, Mapping) and isinstance(step, str) and step in node.entries:
            node = node.entries[step][1]
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
    return node.place


def _plain(node: Node, path: Path, places: dict[Path, tuple[Place, Node]]) -> Any:
    """The tree as data for pydantic, without the keys that have no value; fills `places`."""
    if isinstance(node, Text):
        return node.text
    data: Any = {} if isinstance(node, Mapping) else []
    for step, place, child in _children(node):
        where = (*path, step)
        places[where] = (place, child)
        # A list keeps its empty items, so that the numbers of the others stay right.
        if isinstance(step, int):
            data.append(_plain(child, where, places))
        elif not _is_void(child):
            data[step] = _plain(child, where, places)
    return data


def _is_alias(node: Node) -> bool:
    return isinstance(node, Text) and node.alias


def _is_void(node: Node) -> bool:
    return isinstance(node, Text) and (node.null or node.alias)


def _children(node: Mapping | Sequence) -> Iterator[tuple[str | int, Place, Node]]:
    if isinstance(node, Mapping):
        for key, (place, child) in node.entries.items():
            yield key, place, child
    else:
        for number, child in enumerate(node.items):
            yield number, child.place, child


def _is_news(detail: ErrorDetails, void: Container[Path], unknown: list[Path]) -> bool:
    """Whether an error is one of its own: what has no value, or is misspelt, is not missing as well."""
    path = detail["loc"]
    if path in void:
        return False
    beside = [str(other[-1]) for other in unknown if other[:-1] == path[:-1]]
    return detail["type"] != "missing" or not get_close_matches(str(path[-1]), beside, n=1)


def _null_problem(path: Path, place: Place) -> Problem:
    key = str(path[-1])
    if isinstance(path[-1], int):
        return Problem("this item has no value", place, hint="Take the line out, or put the text in quotes.")
    hint = "Write a value after the colon, or take the line out."
    if path[0] == "env" and len(path) == 2:
        hint = 'For an empty variable write "" after the colon.'
    elif path[:-1] == () and key in ("extends", "packages", "requirements", "indexes", "source_builds"):
        hint = (
            f"Write the items below it, each after '- ', or take the line out. An empty list is `{key}: []`."
        )
    return Problem("this key has no value", place, key, hint)


def _problem(detail: ErrorDetails, places: dict[Path, tuple[Place, Node]]) -> Problem:
    path = tuple(step for step in detail["loc"] if step != "[key]")
    is_key = "[key]" in detail["loc"]
    known = path
    while known not in places:
        known = known[:-1]
    key_place, node = places[known]
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(path, key_place)
    if kind == "missing":
        return _missing(path, key_place)
    if kind == "refused":
        value = node.text if isinstance(node, Text) and not context["secret"] else None
        place = key_place if is_key else node.place
        return Problem(
            _in(path, context["problem"], is_key), place, str(path[-1]) if is_key else value, context["hint"]
        )
    if kind == "literal_error":
        return _wrong_choice(path, node, str(context["expected"]))
    return Problem(*_wrong_shape(path, kind, detail["msg"], node))


def _dotted(path: Path) -> str:
    """`indexes[0].url`, as people write it; items count from 1 in no message, the place shows which."""
    return ".".join(str(step) for step in path if isinstance(step, str)) or "the profile"


def _in(path: Path, message: str, is_key: bool = False) -> str:
    return f"{_dotted(path[:1] if is_key else path)}: {message}"


def _unknown_key(path: Path, place: Place) -> Problem:
    key, parent = str(path[-1]), tuple(step for step in path[:-1] if isinstance(step, str))
    model = _PARTS[parent[0]] if parent else Profile
    valid = list(model.model_fields)
    where = f" of {'.'.join(parent)}" if parent else ""
    return Problem(f"this is no key{where or ' of a profile'}", place, key, _key_hint(key, valid, parent))


def _key_hint(key: str, valid: list[str], parent: tuple[str, ...]) -> str:
    if key == "<<":
        return "A profile has no merge keys: write the keys out."
    if near := get_close_matches(key.lower().replace("-", "_")[:100], valid, n=1):
        return f"Did you mean '{near[0]}'?"
    if not parent and key in _SYNONYMS:
        return f"Did you mean '{_SYNONYMS[key]}'?"
    homes = [name for name, part in _PARTS.items() if key in part.model_fields and (name,) != parent]
    if homes:
        return f"'{key}' belongs under '{homes[0]}'."
    if parent and key in Profile.model_fields:
        return f"'{key}' belongs at the left margin, not under '{parent[0]}'."
    return f"The keys here are: {', '.join(valid)}."


def _missing(path: Path, place: Place) -> Problem:
    key = str(path[-1])
    if path == ("name",):
        hint = "Add a line such as `name: vision-2023` at the top."
        return Problem("the profile has no name", Place(place.source), hint=hint)
    return Problem(f"{_dotted(path[:-1])}: this entry has no '{key}'", place, hint=f"Add `{key}: …` to it.")


def _wrong_choice(path: Path, node: Node, expected: str) -> Problem:
    choices = re.findall(r"'([^']*)'", expected)
    listed = " or ".join(filter(None, (", ".join(choices[:-1]), choices[-1])))
    if not isinstance(node, Text):
        return Problem(_in(path, "this must be one word"), node.place, None, f"Write {listed}.")
    hint = f"Write {listed}."
    if near := get_close_matches(node.text.lower()[:100], choices, n=1):
        hint = f"Did you mean '{near[0]}'? {hint}"
    elif "off" in choices and node.text.lower() in ("false", "no", "true", "yes"):
        hint = f"Did you mean '{'off' if node.text.lower() in ('false', 'no') else 'on'}'? {hint}"
    return Problem(_in(path, "this value is none of those allowed"), node.place, node.text, hint)


_SHAPES: Final = {
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
}


def _wrong_shape(path: Path, kind: str, message: str, node: Node) -> tuple[str, Place, str | None, str]:
    value = node.text if isinstance(node, Text) and "url" not in path else None
    wanted = _SHAPES.get(kind)
    if wanted is None:
        return _in(path, message), node.place, value, ""
    found = {Text: "text", Sequence: "a list", Mapping: "keys with values"}[type(node)]
    key = next((step for step in reversed(path) if isinstance(step, str)), "")
    return (
        _in(path, f"this must be {wanted}, and here is {found}"),
        node.place,
        value,
        _shape_hint(wanted, key, value, node),
    )


def _shape_hint(wanted: str, key: str, value: str | None, node: Node) -> str:
    if wanted == "a list":
        item = shown(value) if value else "…"
        if key == "indexes":
            return 'Write a list such as `indexes: [{name: team, url: "https://host/simple"}]`.'
        return f'Write a list, even for one item: `{key}: ["{item}"]`.'
    if wanted == "text":
        if isinstance(node, Mapping):
            return "Is there a colon followed by a space inside the text? Then put the text in double quotes."
        return "Write one value, without brackets and without '- ' before it."
    example = {
        "stack": 'stack: {tensorflow: "2.15.1"}',
        "env": 'env: {TF_CPP_MIN_LOG_LEVEL: "2"}',
        "indexes": 'indexes: [{name: team, url: "https://host/simple"}]',
        "kernel": "kernel: {google_colab: auto}",
        "verify": "verify: {imports: [tensorflow]}",
    }.get(key)
    return f"Write it as in `{example}`." if example else ""
