"""The YAML reader: what stands there is what comes out, and hostile documents end in one error."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from colabenv.errors import ProfileError
from colabenv.profile import document
from colabenv.profile.document import MAX_REPARSED, Mapping, Scalar, Sequence, parse_document
from support.patience import processor_seconds

LOADERS = [yaml.SafeLoader] + ([yaml.CSafeLoader] if hasattr(yaml, "CSafeLoader") else [])
pytestmark = pytest.mark.parametrize("loader", LOADERS)


def plain(node: Any) -> Any:
    if isinstance(node, Scalar):
        return None if node.null else node.text
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    assert isinstance(node, Mapping)
    return {key: plain(child) for key, (_, child) in node.entries.items()}


def read(text: str, loader: Any) -> Any:
    top, problems = parse_document(text, "p.yaml", loader)
    assert problems == []
    return plain(top)


def refusal(text: str, loader: Any) -> ProfileError:
    with pytest.raises(ProfileError) as caught:
        parse_document(text, "p.yaml", loader)
    return caught.value


def problem(text: str, loader: Any) -> tuple[str, int | None, int | None]:
    """The one problem that does not stop the reading."""
    _, problems = parse_document(text, "p.yaml", loader)
    assert len(problems) == 1, problems
    return problems[0].message, problems[0].location.line, problems[0].location.column


@pytest.mark.parametrize(
    "text",
    ["3.10", "off", "yes", "1_000", "0x10", "2023-12-01", "1e3", "12:30:45", ".inf", "'null'", "null-x"],
)
def test_values_are_the_literal_text(text: str, loader: Any) -> None:
    assert read(f"a: {text}", loader) == {"a": text.strip("'")}


@pytest.mark.parametrize("text", ["", "~", "null", "NULL", " # nothing"])
def test_null_values(text: str, loader: Any) -> None:
    assert read(f"a: {text}\nb: [x, ~]", loader) == {"a": None, "b": ["x", None]}


def test_quoted_empty_and_null_are_text(loader: Any) -> None:
    assert read("a: ''\nb: \"~\"\nc: |\n  null\n", loader) == {"a": "", "b": "~", "c": "null\n"}


def test_locations_count_from_one(loader: Any) -> None:
    top, _ = parse_document("# x\na:\n  - b\n  - {c: d}\n", "p.yaml", loader)
    key, items = top.entries["a"]
    assert (key.line, key.column) == (2, 1)
    assert isinstance(items, Sequence)
    assert (items.items[1].location.line, items.items[1].location.column) == (4, 5)


@pytest.mark.parametrize("text", ["", " \n", "# only this\n", "---\n", "~", "--- # x\n...\n"])
def test_an_empty_document(text: str, loader: Any) -> None:
    error = refusal(text, loader)
    assert "empty" in error.message
    assert "name: vision-2023" in error.hint


@pytest.mark.parametrize(("text", "kind"), [("- a\n- b", "a list"), ("hello", "text"), ("'~'", "text")])
def test_top_level_must_be_a_mapping(text: str, kind: str, loader: Any) -> None:
    assert f"must be a mapping, not {kind}" in refusal(text, loader).message


def test_a_second_document(loader: Any) -> None:
    error = refusal("a: 1\n---\nb: 2\n", loader)
    assert "single YAML document" in error.message
    assert error.line == 2


@pytest.mark.parametrize(
    "text", ["a: !!python/object:os.system x", "a: !x y", "a: ! y", "a: !!str y", "a: !!python/name:os.x {}"]
)
def test_tags_are_refused(text: str, loader: Any) -> None:
    assert problem(text, loader)[0] == "profiles do not support YAML tags"


def test_anchors_and_aliases_are_refused(loader: Any) -> None:
    assert problem("a: &x 1", loader) == ("profiles do not support YAML anchors", 1, 4)
    assert problem("a: *x", loader) == ("profiles do not support YAML aliases", 1, 4)


def test_exponential_aliases_are_refused_quickly(loader: Any) -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    with processor_seconds(15):
        _, problems = parse_document("\n".join(lines), "p.yaml", loader)
        assert {p.message for p in problems} == {
            "profiles do not support YAML anchors",
            "profiles do not support YAML aliases",
        }


def test_duplicate_key_names_the_first_line(loader: Any) -> None:
    assert problem("a: 1\nb: {c: 1, c: 2}", loader)[0] == "duplicate key {value}, first set on line 2"
    assert problem("a: 1\n'a': 2", loader) == ("duplicate key {value}, first set on line 1", 2, 1)


@pytest.mark.parametrize("text", ["? [a]\n: b", "{[a]: b}", "? {a: b}\n: c"])
def test_key_that_is_not_text_is_refused(text: str, loader: Any) -> None:
    assert "a key must be text" in problem(text, loader)[0]


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "a: " + "{a: " * 100_000, "- " * 100_000, "? " * 100_000, "a: " + "[{" * 50_000],
    ids=["lists", "mappings", "block lists", "keys", "pairs"],
)
def test_deep_nesting_ends_early(text: str, loader: Any) -> None:
    with processor_seconds(15):
        assert "nested more than 30 levels deep" in refusal(text, loader).message


def test_thirty_nesting_levels_are_allowed(loader: Any) -> None:
    parse_document("a: " + "[" * 29 + "x" + "]" * 29, "p.yaml", loader)
    assert "nested more" in refusal("a: " + "[" * 30 + "x" + "]" * 30, loader).message


@pytest.mark.parametrize(
    "text",
    ["a: [" + "x, " * 300_000, "- a\n" * 250_000, "".join(f"k{n}: 1\n" for n in range(90_000))],
    ids=["flow", "block", "keys"],
)
def test_too_many_values_end_early(text: str, loader: Any) -> None:
    with processor_seconds(15):
        assert f"more than {document.MAX_NODES} values" in refusal(text, loader).message


@pytest.mark.parametrize("text", ["a:\n\tb: 1", "\ta: 1", "a: 1\n\tb: 2"])
def test_tabs_are_named(text: str, loader: Any) -> None:
    assert "does not allow tabs" in refusal(text, loader).message


@pytest.mark.parametrize(
    "text",
    [
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
    ],
)
def test_invalid_yaml_has_a_location(text: str, loader: Any) -> None:
    error = refusal(text, loader)
    assert error.source == "p.yaml"
    assert error.message.startswith("p.yaml")


def test_a_character_that_cannot_start_a_text_is_named(loader: Any) -> None:
    error = refusal("a: 1\nb: @x", loader)
    assert "a value cannot start with @" in error.message
    assert (error.line, error.column) == (2, 4)


@pytest.mark.parametrize("text", ['a: "x\\0y"', '"\\0": x'])
def test_a_nul_by_escape_is_refused(text: str, loader: Any) -> None:
    assert "NUL or surrogate character" in problem(text, loader)[0]


def test_deep_nesting_late_in_a_large_document(loader: Any) -> None:
    """Too large to be read again; libyaml's own refusal is recognized."""
    text = "a:\n" + "  # a comment\n" * (MAX_REPARSED // 10) + "  " + "[" * 2_000
    assert "nested more than 30 levels deep" in refusal(text, loader).message
