"""The YAML parser: values are kept as written, and hostile documents end in one error."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from colabenv.errors import ProfileError
from colabenv.profile import document
from colabenv.profile.document import MAX_REPARSED, Mapping, Scalar, Sequence, parse_document
from support.timeouts import limit_processor_time

LOADERS = [yaml.SafeLoader] + ([yaml.CSafeLoader] if hasattr(yaml, "CSafeLoader") else [])
pytestmark = pytest.mark.parametrize("loader", LOADERS)


def to_plain(node: Any) -> Any:
    """Convert a node to dicts, lists, strings and None."""
    if isinstance(node, Scalar):
        return None if node.null else node.text
    if isinstance(node, Sequence):
        return [to_plain(item) for item in node.items]
    assert isinstance(node, Mapping)
    return {key: to_plain(child) for key, (_, child) in node.entries.items()}


def read(text: str, loader: Any) -> Any:
    """The content of a document without problems."""
    top, problems = parse_document(text, "p.yaml", loader)
    assert problems == [], text
    return to_plain(top)


def read_error(text: str, loader: Any) -> ProfileError:
    """The error that ends the parsing of a document."""
    try:
        parse_document(text, "p.yaml", loader)
    except ProfileError as error:
        return error
    pytest.fail(f"{text[:100]!r} is not refused")


def read_problem(text: str, loader: Any) -> tuple[str, int | None, int | None]:
    """Message, line and column of the only problem, after which parsing continues."""
    _, problems = parse_document(text, "p.yaml", loader)
    assert len(problems) == 1, (text, problems)
    return problems[0].message, problems[0].location.line, problems[0].location.column


def test_values_are_kept_as_written(loader: Any) -> None:
    for text in ("3.10", "off", "yes", "1_000", "0x10", "2023-12-01", "1e3", "12:30:45", ".inf", "null-x"):
        assert read(f"a: {text}", loader) == {"a": text}


def test_null_values(loader: Any) -> None:
    for text in ("", "~", "null", "NULL", " # nothing"):
        assert read(f"a: {text}\nb: [x, ~]", loader) == {"a": None, "b": ["x", None]}, text


def test_quoted_empty_and_null_are_text(loader: Any) -> None:
    text = "a: ''\nb: \"~\"\nc: |\n  null\nd: 'null'\n"
    assert read(text, loader) == {"a": "", "b": "~", "c": "null\n", "d": "null"}


def test_locations_count_from_one(loader: Any) -> None:
    top, _ = parse_document("# x\na:\n  - b\n  - {c: d}\n", "p.yaml", loader)
    key, items = top.entries["a"]
    assert (key.line, key.column) == (2, 1)
    assert isinstance(items, Sequence)
    assert (items.items[1].location.line, items.items[1].location.column) == (4, 5)


def test_empty_document_is_refused(loader: Any) -> None:
    for text in ("", " \n", "# only this\n", "---\n", "~", "--- # x\n...\n"):
        error = read_error(text, loader)
        assert "empty" in error.message, text
        assert "name: vision-2023" in error.hint, text


def test_top_level_must_be_a_mapping(loader: Any) -> None:
    for text, kind in (("- a\n- b", "a list"), ("hello", "text"), ("'~'", "text")):
        assert f"must be a mapping, not {kind}" in read_error(text, loader).message, text


def test_second_document_is_refused(loader: Any) -> None:
    error = read_error("a: 1\n---\nb: 2\n", loader)
    assert "single YAML document" in error.message
    assert error.line == 2


def test_tags_are_refused(loader: Any) -> None:
    for tagged in ("!!python/object:os.system x", "!x y", "! y", "!!str y", "!!python/name:os.x {}"):
        assert read_problem(f"a: {tagged}", loader)[0] == "profiles do not support YAML tags", tagged


def test_anchors_and_aliases_are_refused(loader: Any) -> None:
    assert read_problem("a: &x 1", loader) == ("profiles do not support YAML anchors", 1, 4)
    assert read_problem("a: *x", loader) == ("profiles do not support YAML aliases", 1, 4)


def test_exponential_aliases_are_refused_quickly(loader: Any) -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    with limit_processor_time(15):
        _, problems = parse_document("\n".join(lines), "p.yaml", loader)
        assert {p.message for p in problems} == {
            "profiles do not support YAML anchors",
            "profiles do not support YAML aliases",
        }


def test_duplicate_key_names_the_first_line(loader: Any) -> None:
    assert read_problem("a: 1\nb: {c: 1, c: 2}", loader)[0] == "duplicate key {value}, first set on line 2"
    assert read_problem("a: 1\n'a': 2", loader) == ("duplicate key {value}, first set on line 1", 2, 1)


def test_key_that_is_not_text_is_refused(loader: Any) -> None:
    for text in ("? [a]\n: b", "{[a]: b}", "? {a: b}\n: c"):
        assert "a key must be text" in read_problem(text, loader)[0], text


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "a: " + "{a: " * 100_000, "- " * 100_000, "? " * 100_000, "a: " + "[{" * 50_000],
    ids=["lists", "mappings", "block lists", "keys", "pairs"],
)
def test_deep_nesting_is_refused_early(text: str, loader: Any) -> None:
    with limit_processor_time(15):
        assert "nested more than 30 levels deep" in read_error(text, loader).message


def test_thirty_nesting_levels_are_allowed(loader: Any) -> None:
    parse_document("a: " + "[" * 29 + "x" + "]" * 29, "p.yaml", loader)
    assert "nested more" in read_error("a: " + "[" * 30 + "x" + "]" * 30, loader).message


@pytest.mark.parametrize(
    "text",
    ["a: [" + "x, " * 300_000, "- a\n" * 250_000, "".join(f"k{n}: 1\n" for n in range(90_000))],
    ids=["flow", "block", "keys"],
)
def test_too_many_values_are_refused_early(text: str, loader: Any) -> None:
    with limit_processor_time(15):
        assert f"more than {document.MAX_NODES} values" in read_error(text, loader).message


def test_tab_as_indentation_is_named(loader: Any) -> None:
    for text in ("a:\n\tb: 1", "\ta: 1", "a: 1\n\tb: 2"):
        assert "does not allow tabs" in read_error(text, loader).message, text


def test_syntax_error_names_the_file(loader: Any) -> None:
    for text in (
        "a: [b",
        "a: 'b",
        "a: b: c",
        "a: {",
        "a: ]",
        "a: @b",
        "a: `b",
        "a: %b",
        "a: b\n c: d\n e",
        "%X\na",
        'a: "\\q"',
        'a: "\\UFFFFFFFF"',
        "%YAML 9.9\n---\na: 1",
        "%YAML 1." + "9" * 5000 + "\n---\na: 1",
        "a: |99\n x",
    ):
        error = read_error(text, loader)
        assert error.source == "p.yaml", text
        assert error.message.startswith("p.yaml"), text


def test_character_that_cannot_start_a_value_is_named(loader: Any) -> None:
    error = read_error("a: 1\nb: @x", loader)
    assert "a value cannot start with @" in error.message
    assert (error.line, error.column) == (2, 4)


def test_escaped_nul_is_refused(loader: Any) -> None:
    for text in ('a: "x\\0y"', '"\\0": x'):
        assert "NUL or surrogate character" in read_problem(text, loader)[0], text


def test_deep_nesting_late_in_a_large_document_is_refused(loader: Any) -> None:
    """The document is too large to be parsed a second time, so libyaml's own error is recognized."""
    text = "a:\n" + "  # a comment\n" * (MAX_REPARSED // 10) + "  " + "[" * 2_000
    assert "nested more than 30 levels deep" in read_error(text, loader).message
