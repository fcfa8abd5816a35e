"""YAML text to a tree of texts, lists and mappings with their places. Pure.

A subset of YAML, chosen so that a profile means what its author sees: every value is the text that
stands there (``python: 3.10`` is "3.10", ``google_colab: off`` is "off"); there are no tags, no anchors
and no merge keys, which a profile of a page does not need and which hostile files use.

The tree is built from the parser's events and not by PyYAML's composer, because that one recurses: a
hundred thousand brackets end the process there, with no exception to catch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import yaml

from colabenv.profile.problems import Place, Problem, profile_error

MAX_DEPTH: Final = 30
MAX_NODES: Final = 10_000
#: Characters up to which a refused document is read again by PyYAML's own parser, whose errors are the same everywhere.
MAX_REPARSED: Final = 200_000
_TOO_DEEP: Final = f"the profile is nested more than {MAX_DEPTH} deep"
NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Text:
    """A scalar: the text as written, and whether it says that there is no value.

    An alias is a text as well, so that reading can go on; it has been reported, and has no value.
    """

    text: str
    place: Place
    null: bool
    alias: bool = False


@dataclass
class Sequence:
    """A list."""

    place: Place
    items: list[Node] = field(default_factory=list)


@dataclass
class Mapping:
    """Keys in the order of the file, each with the place of the key."""

    place: Place
    entries: dict[str, tuple[Place, Node]] = field(default_factory=dict)


Node: TypeAlias = Text | Sequence | Mapping


def parse(text: str, source: str, loader: Any = LOADER) -> tuple[Mapping, list[Problem]]:
    """The document's top level, and what is wrong with it but did not stop the reading.

    Args:
        text: the document.
        source: its name in messages.
        loader: the PyYAML loader class; only its scanner and parser are used.

    Raises:
        ProfileError: the text is no YAML, is empty, holds several documents, is nested too deeply, is
            too large, or its top level is no mapping.
    """
    builder = _Builder(source)
    try:
        for event in yaml.parse(text, Loader=loader):
            builder.take(event)
    except yaml.YAMLError as error:
        if loader is not yaml.SafeLoader and len(text) <= MAX_REPARSED:
            # libyaml words its errors by release, and since PyYAML 6.0.4 it counts levels before we see them.
            return parse(text, source, yaml.SafeLoader)
        if is_depth_error(error):
            raise profile_error([Problem(_TOO_DEEP, _place_of(error, source))]) from None
        raise profile_error([_syntax_problem(error, text, source)]) from None
    except (ValueError, OverflowError):
        # PyYAML's scanner in Python lets these through for escapes and directives with huge numbers.
        problem = Problem("a number in an escape or a directive is out of range", Place(source))
        raise profile_error([problem]) from None
    return builder.top(), builder.problems


class _Builder:
    """Puts the tree together from the parser's events, one at a time."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.documents: list[Node] = []
        self.open: list[Sequence | Mapping] = []
        # The key that waits for its value, one for each open node; None is no key yet.
        self.keys: list[tuple[Place, str] | None] = []
        self.nodes = 0

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent) and self.documents:
            self.stop("a profile is one document, and here a second one begins", event, "Remove the '---'.")
        elif isinstance(event, yaml.NodeEvent):
            self.node(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self.open.pop()
            self.keys.pop()

    def node(self, event: Any) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self.stop(f"the profile has more than {MAX_NODES} values", event, "Is it the file you meant?")
        self.refuse_extras(event)
        node = self.build(event)
        self.place_in_parent(node)
        if not isinstance(node, Text):
            if len(self.open) >= MAX_DEPTH:
                self.stop(_TOO_DEEP, event)
            self.open.append(node)
            self.keys.append(None)

    def build(self, event: Any) -> Node:
        place = self.place(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return Sequence(place)
        if isinstance(event, yaml.MappingStartEvent):
            return Mapping(place)
        if isinstance(event, yaml.AliasEvent):
            return Text(f"*{event.anchor}", place, null=False, alias=True)
        return Text(event.value, place, null=not event.style and event.value in NULLS)

    def place_in_parent(self, node: Node) -> None:
        if not self.open:
            self.documents.append(node)
        elif isinstance(parent := self.open[-1], Sequence):
            parent.items.append(node)
        elif (key := self.keys[-1]) is not None:
            self.keys[-1] = None
            self.add(parent, key, node)
        elif isinstance(node, Text):
            self.keys[-1] = (node.place, node.text)
        else:
            self.problems.append(Problem("a key must be plain text, not a list or mapping", node.place))
            self.keys[-1] = (node.place, "")

    def add(self, parent: Mapping, key: tuple[Place, str], node: Node) -> None:
        place, text = key
        if text in parent.entries:
            line = parent.entries[text][0].line
            hint = "Merge the two: of two equal keys, one would be lost."
            self.problems.append(Problem(f"this key was there already, on line {line}", place, text, hint))
        else:
            parent.entries[text] = (place, node)

    def refuse_extras(self, event: Any) -> None:
        place = self.place(event)
        if isinstance(event, yaml.AliasEvent):
            hint = "Write the value out where it is needed; a text that starts with '*' needs quotes."
            self.problems.append(Problem("a profile has no aliases", place, f"*{event.anchor}", hint))
        elif event.anchor is not None:
            hint = "Take it out; a text that starts with '&' needs quotes."
            self.problems.append(Problem("a profile has no anchors", place, f"&{event.anchor}", hint))
        if getattr(event, "tag", None) is not None:
            hint = "Take it out; a text that starts with '!' needs quotes."
            self.problems.append(Problem("a profile has no YAML tags", place, event.tag, hint))
        text = getattr(event, "value", "")
        if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
            self.problems.append(Problem("this text holds a character that no file can hold", place))

    def top(self) -> Mapping:
        if not self.documents or (isinstance(self.documents[0], Text) and self.documents[0].null):
            hint = "The least a profile needs is a name, such as `name: vision-2023`."
            raise profile_error([Problem("the profile is empty", Place(self.source), hint=hint)])
        top = self.documents[0]
        if isinstance(top, Mapping):
            return top
        hint = "A profile is lines of `key: value`, such as `name: vision-2023`."
        kind = "a list" if isinstance(top, Sequence) else "text"
        problem = Problem(f"the profile is {kind}, not keys with values", top.place, hint=hint)
        raise profile_error([*self.problems, problem])

    def place(self, event: Any) -> Place:
        return Place(self.source, event.start_mark.line + 1, event.start_mark.column + 1)

    def stop(self, message: str, event: Any, hint: str = "") -> None:
        # What was found before may come from the same cause, such as a key that is a list at each level.
        raise profile_error([Problem(message, self.place(event), hint=hint)])


def is_depth_error(error: yaml.YAMLError) -> bool:
    """Whether a parser gave up because of the depth of a document (libyaml's `max_nest_level`)."""
    return "nesting depth" in str(getattr(error, "problem", "") or "")


def _mark_of(error: yaml.YAMLError) -> Any:
    return getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)


def _place_of(error: yaml.YAMLError, source: str) -> Place:
    mark = _mark_of(error)
    return Place(source) if mark is None else Place(source, mark.line + 1, mark.column + 1)


def _syntax_problem(error: yaml.YAMLError, text: str, source: str) -> Problem:
    mark, place = _mark_of(error), _place_of(error, source)
    if mark is None:
        return Problem("this is not YAML", place)
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    # The mark may stand behind the character that is wrong, so what leads the line counts too.
    if line[mark.column : mark.column + 1] == "\t" or "\t" in line[: len(line) - len(line.lstrip())]:
        return Problem("a tab stands where YAML wants spaces", place, hint="Indent with spaces.")
    wrong = line[mark.column : mark.column + 1]
    if wrong and wrong in "%@`*&!|>":
        return Problem(f"a text cannot start with {wrong}", place, line.strip(), "Put it in double quotes.")
    reason = ", ".join(filter(None, _reasons(error)))
    hint = "Check the indentation, brackets and quotes here and on the line before."
    return Problem(f"this is not YAML ({reason})", place, line.strip() or None, hint)


def _reasons(error: yaml.YAMLError) -> Iterator[str]:
    for part in ("context", "problem"):
        yield (getattr(error, part, None) or "").replace("\n", " ").strip()
