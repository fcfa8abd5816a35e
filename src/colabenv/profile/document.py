"""YAML text to a tree of scalars, sequences and mappings with their locations.

Only a subset of YAML is accepted, so that a profile means what it shows: every value is its text (``python: 3.10`` is
"3.10", ``google_colab: off`` is "off"), and there are no tags, anchors, aliases or merge keys.

The tree is built from the parser's events because PyYAML's composer recurses: a hundred thousand brackets would crash
the process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import yaml

from colabenv.profile.problems import Location, Problem, profile_error

MAX_DEPTH: Final = 30
MAX_NODES: Final = 10_000
#: Invalid documents up to this many characters are parsed again in Python, whose error messages do not vary by release.
MAX_REPARSED: Final = 200_000
_TOO_DEEP: Final = f"the profile is nested more than {MAX_DEPTH} levels deep"
_FLATTEN: Final = "Profiles are two or three levels deep. Check that this is the right file."
NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Scalar:
    """The text as written, and whether it means "no value". An alias, already reported, is one without a value."""

    text: str
    location: Location
    null: bool
    alias: bool = False


@dataclass
class Sequence:
    """A list and its items."""

    location: Location
    items: list[Node] = field(default_factory=list)


@dataclass
class Mapping:
    """Keys in file order, each with the location of the key."""

    location: Location
    entries: dict[str, tuple[Location, Node]] = field(default_factory=dict)


Node: TypeAlias = Scalar | Sequence | Mapping


def parse_document(text: str, source: str, loader: Any = LOADER) -> tuple[Mapping, list[Problem]]:
    """The document's top-level mapping, and the problems that did not stop parsing.

    `source` is its name in messages. Only the scanner and parser of `loader`, a PyYAML loader class, are used.

    Raises:
        ProfileError: the text is not YAML or is empty, has several documents, is nested too deeply or too large, or
            its top level is not a mapping.
    """
    builder = _Builder(source)
    try:
        for event in yaml.parse(text, Loader=loader):
            builder.take(event)
    except yaml.YAMLError as error:
        if loader is not yaml.SafeLoader and len(text) <= MAX_REPARSED:
            # libyaml's messages vary by release, and since PyYAML 6.0.4 it has its own depth limit.
            return parse_document(text, source, yaml.SafeLoader)
        if is_depth_error(error):
            raise profile_error([Problem(_TOO_DEEP, _error_location(error, source), hint=_FLATTEN)]) from None
        raise profile_error([_syntax_problem(error, text, source)]) from None
    except (ValueError, OverflowError):
        # PyYAML's Python scanner raises these for escapes and directives with huge numbers.
        hint = "Correct the escape sequence or the %YAML line."
        problem = Problem(
            "invalid YAML: a number in an escape or directive is out of range", Location(source), hint=hint
        )
        raise profile_error([problem]) from None
    return builder.top(), builder.problems


class _Builder:
    """Builds the tree from the parser's events."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.documents: list[Node] = []
        self.open: list[Sequence | Mapping] = []
        # For each open node, the key that waits for its value, or None.
        self.keys: list[tuple[Location, str] | None] = []
        self.nodes = 0

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent) and self.documents:
            self.stop("a profile must be a single YAML document", event, "Remove the '---' line.")
        elif isinstance(event, yaml.NodeEvent):
            self.node(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self.open.pop()
            self.keys.pop()

    def node(self, event: Any) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self.stop(
                f"the profile has more than {MAX_NODES} values", event, "Check that this is the right file."
            )
        self.refuse_extras(event)
        node = self.build(event)
        self.place_in_parent(node)
        if not isinstance(node, Scalar):
            if len(self.open) >= MAX_DEPTH:
                self.stop(_TOO_DEEP, event, _FLATTEN)
            self.open.append(node)
            self.keys.append(None)

    def build(self, event: Any) -> Node:
        location = self.location(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return Sequence(location)
        if isinstance(event, yaml.MappingStartEvent):
            return Mapping(location)
        if isinstance(event, yaml.AliasEvent):
            return Scalar(f"*{event.anchor}", location, null=False, alias=True)
        return Scalar(event.value, location, null=not event.style and event.value in NULLS)

    def place_in_parent(self, node: Node) -> None:
        if not self.open:
            self.documents.append(node)
        elif isinstance(parent := self.open[-1], Sequence):
            parent.items.append(node)
        elif (key := self.keys[-1]) is not None:
            self.keys[-1] = None
            self.add(parent, key, node)
        elif isinstance(node, Scalar):
            self.keys[-1] = (node.location, node.text)
        else:
            hint = "Write the key as text, such as `name`."
            self.problems.append(
                Problem("a key must be text, not a list or mapping", node.location, hint=hint)
            )
            self.keys[-1] = (node.location, "")

    def add(self, parent: Mapping, key: tuple[Location, str], node: Node) -> None:
        location, text = key
        if text in parent.entries:
            line = parent.entries[text][0].line
            hint = "Merge the two entries into one."
            self.problems.append(
                Problem(f"duplicate key {{value}}, first set on line {line}", location, text, hint)
            )
        else:
            parent.entries[text] = (location, node)

    def refuse_extras(self, event: Any) -> None:
        location = self.location(event)
        if isinstance(event, yaml.AliasEvent):
            self.refuse(
                "aliases", location, f"*{event.anchor}", "Write the value itself; text that starts with '*'"
            )
        elif event.anchor is not None:
            self.refuse("anchors", location, f"&{event.anchor}", "Remove it; text that starts with '&'")
        if getattr(event, "tag", None) is not None:
            self.refuse("tags", location, event.tag, "Remove it; text that starts with '!'")
        text = getattr(event, "value", "")
        if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
            problem = "the text contains a NUL or surrogate character"
            self.problems.append(Problem(problem, location, hint="Remove the escape sequence."))

    def refuse(self, feature: str, location: Location, value: str, hint: str) -> None:
        message = f"profiles do not support YAML {feature}"
        self.problems.append(Problem(message, location, value, f"{hint} needs quotes."))

    def top(self) -> Mapping:
        if not self.documents or (isinstance(self.documents[0], Scalar) and self.documents[0].null):
            hint = "Add at least a name, such as `name: vision-2023`."
            raise profile_error([Problem("the profile is empty", Location(self.source), hint=hint)])
        top = self.documents[0]
        if isinstance(top, Mapping):
            return top
        hint = "Write lines of the form `key: value`, such as `name: vision-2023`."
        kind = "a list" if isinstance(top, Sequence) else "text"
        problem = Problem(f"a profile must be a mapping, not {kind}", top.location, hint=hint)
        raise profile_error([*self.problems, problem])

    def location(self, event: Any) -> Location:
        return Location(self.source, event.start_mark.line + 1, event.start_mark.column + 1)

    def stop(self, message: str, event: Any, hint: str) -> None:
        # Earlier problems are dropped: they may have the same cause, such as a key that is a list at each level.
        raise profile_error([Problem(message, self.location(event), hint=hint)])


def is_depth_error(error: yaml.YAMLError) -> bool:
    """Whether a parser refused the depth of a document (libyaml's `max_nest_level`)."""
    return "nesting depth" in str(getattr(error, "problem", "") or "")


def _error_mark(error: yaml.YAMLError) -> Any:
    return getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)


def _error_location(error: yaml.YAMLError, source: str) -> Location:
    mark = _error_mark(error)
    return Location(source) if mark is None else Location(source, mark.line + 1, mark.column + 1)


def _syntax_problem(error: yaml.YAMLError, text: str, source: str) -> Problem:
    mark, location = _error_mark(error), _error_location(error, source)
    if mark is None:
        return Problem("invalid YAML", location, hint="Check that this is the right file.")
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    # The mark may be after the wrong character, so check the indentation too.
    if line[mark.column : mark.column + 1] == "\t" or "\t" in line[: len(line) - len(line.lstrip())]:
        return Problem("YAML does not allow tabs for indentation", location, hint="Indent with spaces.")
    wrong = line[mark.column : mark.column + 1]
    if wrong and wrong in "%@`*&!|>":
        return Problem(
            f"a value cannot start with {wrong}", location, line.strip(), "Put it in double quotes."
        )
    reasons = (getattr(error, part, None) or "" for part in ("context", "problem"))
    reason = ", ".join(" ".join(text.split()) for text in reasons if text)
    hint = "Check the indentation, brackets and quotes on this line and the one before."
    return Problem(f"invalid YAML ({reason})", location, line.strip() or None, hint)
