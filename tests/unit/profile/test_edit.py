"""Editing a profile's text: the change is made, and all other text stays the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colabenv.profile import document
from colabenv.profile.edit import (
    UneditableError,
    add_packages,
    pin_requirement,
    replace_package,
    set_stack,
)

ADDED = ["rich==15.0.0"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("name: a\npackages: [b, c]\n", "name: a\npackages: [b, c, rich==15.0.0]\n", id="flow"),
        pytest.param('packages: ["b"]  # x\n', 'packages: ["b", "rich==15.0.0"]  # x\n', id="quoted"),
        pytest.param("packages: ['b',]\n", "packages: ['b', 'rich==15.0.0',]\n", id="trailing comma"),
        pytest.param("packages: []\n", 'packages: ["rich==15.0.0"]\n', id="empty"),
        pytest.param(
            "packages: [\n  b,\n  c]\n",
            "packages: [\n  b,\n  c, rich==15.0.0]\n",
            id="bracket on the last line",
        ),
        pytest.param(
            "packages: [\n  b, # one, two\n  c  # last\n]\n",
            "packages: [\n  b, # one, two\n  c,  # last\n  rich==15.0.0\n]\n",
            id="flow on several lines",
        ),
        pytest.param(
            "packages: [\n    b,\n    c,  # last\n  ]\nname: a",
            "packages: [\n    b,\n    c,  # last\n    rich==15.0.0,\n  ]\nname: a",
            id="flow on several lines with a trailing comma",
        ),
        pytest.param(
            "packages:\n  - b # why\n  # end\n\nname: a\n",
            "packages:\n  - b # why\n  - rich==15.0.0\n  # end\n\nname: a\n",
            id="block",
        ),
        pytest.param("packages:\n- b", "packages:\n- b\n- rich==15.0.0", id="no final newline"),
        pytest.param(
            "packages:\r\n- 'b'\r\nname: a\r\n",
            "packages:\r\n- 'b'\r\n- 'rich==15.0.0'\r\nname: a\r\n",
            id="Windows line endings",
        ),
        pytest.param(
            "packages:\n  - >-\n    b\n\nname: a\n",
            'packages:\n  - >-\n    b\n\n  - "rich==15.0.0"\nname: a\n',
            id="after a folded scalar",
        ),
        pytest.param(
            "# mine\nname: ä  # 1\nstack:\n  tensorflow: '2'\n# end\n",
            "# mine\nname: ä  # 1\nstack:\n  tensorflow: '2'\npackages:\n  - \"rich==15.0.0\"\n# end\n",
            id="no packages",
        ),
        pytest.param(
            "---\n  name: a\n...\n", '---\n  name: a\n  packages:\n    - "rich==15.0.0"\n...\n', id="indented"
        ),
        pytest.param("{name: a}", '{name: a, packages: ["rich==15.0.0"]}', id="flow document"),
    ],
)
def test_add_package(before: str, after: str) -> None:
    assert add_packages(before, ADDED) == after


def test_add_several_packages_with_quotes() -> None:
    extra = ["a==1 ; python_version < '3.11'", "ray[tune]==2"]
    assert add_packages("packages: [b]\n", extra) == (
        'packages: [b, "a==1 ; python_version < \'3.11\'", "ray[tune]==2"]\n'
    )
    assert add_packages("packages:\n- 'b'\n", extra[:1]) == (
        "packages:\n- 'b'\n- 'a==1 ; python_version < ''3.11'''\n"
    )


def test_replace_package_version() -> None:
    text = "packages: [a, 'b==1' , \"c\"] # d\n"
    assert replace_package(text, 1, "b==2") == "packages: [a, 'b==2' , \"c\"] # d\n"
    assert replace_package(text, 0, "a==3") == "packages: [a==3, 'b==1' , \"c\"] # d\n"
    with pytest.raises(UneditableError, match="spans several lines"):
        replace_package("packages:\n  - |-\n    a\n", 0, "a==2")


def test_set_stack() -> None:
    edits = {
        "stack: {tensorflow: '2.15.0'} # x\n": "stack: {tensorflow: '2.15.1'} # x\n",
        "stack:\n  tensorflow: 2.15  # x\n": "stack:\n  tensorflow: 2.15.1  # x\n",
        "stack: {keras: '3'}\n": "stack: {keras: '3', tensorflow: \"2.15.1\"}\n",
        "stack: {}\n": 'stack: {tensorflow: "2.15.1"}\n',
        "stack:\n  keras: '3' # k\nname: a\n": (
            "stack:\n  keras: '3' # k\n  tensorflow: \"2.15.1\"\nname: a\n"
        ),
        "name: a\n": 'name: a\nstack:\n  tensorflow: "2.15.1"\n',
    }
    for before, after in edits.items():
        assert set_stack(before, "tensorflow", "2.15.1") == after, before


def test_pin_requirement() -> None:
    edits = {
        "pandas": "pandas==2",
        "pandas==1": "pandas==2",
        "ray[tune, data] >=1,<3 ; python_version < '3.12'": ("ray[tune, data]==2 ; python_version < '3.12'"),
        "  Pandas (>=1)   # for the course": "  Pandas==2   # for the course",
    }
    for before, after in edits.items():
        assert pin_requirement(before, "2") == after, before


_items = st.sampled_from(["a", '"b==1"', "'c>=2'", "d-e"])
_comments = st.sampled_from(["", " # x", "  # a, b: [c]"])


@st.composite
def profiles(draw: st.DrawFn) -> str:
    """Profiles in many styles, to each of which a package can be added."""
    items = draw(st.lists(_items, min_size=1, max_size=3))
    style = draw(st.sampled_from(["none", "flow", "lines", "block", "flush"]))
    comment = draw(_comments)
    packages = {
        "none": "",
        "flow": f"packages: [{', '.join(items)}]{comment}\n",
        "lines": "packages: [\n" + "".join(f"  {item},{comment}\n" for item in items) + f"]{comment}\n",
        "block": "packages:\n" + "".join(f"  - {item}{comment}\n" for item in items),
        "flush": "packages:\n" + "".join(f"- {item}{comment}\n\n" for item in items),
    }[style]
    before = draw(st.sampled_from(["", "name: x\n", "# top\n\nname: x # y\n"]))
    after = draw(st.sampled_from(["", "# end\n", "stack: {keras: '3'}\n", "env:\n  A: >\n    b\n    c\n"]))
    text = before + packages + (after or ("" if before or packages else "name: x\n"))
    if text.lstrip().startswith("#") and ":" not in text:
        text += "name: x\n"
    text = text if has_content(text) else text + "name: z\n"
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


def has_content(text: str) -> bool:
    """Whether a text has more than comments and empty lines."""
    return any(line and not line.startswith("#") for line in text.splitlines())


@settings(max_examples=300)
@given(profiles())
def test_edit_keeps_all_other_text(text: str) -> None:
    changed = add_packages(text, ADDED)
    remaining = iter(changed)
    assert all(character in remaining for character in text), "text was removed"
    top, problems = document.parse_document(changed, "p")
    assert not problems
    packages = top.entries["packages"][1]
    assert isinstance(packages, document.Sequence)
    last = packages.items[-1]
    assert isinstance(last, document.Scalar)
    assert last.text == ADDED[0]
    assert set(document.parse_document(text, "p")[0].entries) | {"packages"} == set(top.entries)
