"""Setting the kernel and the first cell of a notebook, without changing anything else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, NamedTuple

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colabenv.errors import UsageError
from colabenv.export.notebook_file import HEADER, NotebookEnvironment, render_new_notebook, set_environment

VISION = NotebookEnvironment(
    "colabenv-vision", "vision (Python 3.11)", "vision.yaml", ("!one", "!two vision.yaml")
)
OTHER = NotebookEnvironment("colabenv-other", "Ökologie", "../other.yaml", ("!one", "!two ../other.yaml"))
SPEC = {"display_name": "vision (Python 3.11)", "language": "python", "name": "colabenv-vision"}
Notebook = dict[str, Any]


class Style(NamedTuple):
    """How a program formats the JSON of a notebook."""

    indent: int | str | None = 1
    sort_keys: bool = True
    ascii_only: bool = False
    comma: str = ", "
    colon: str = ": "

    def write(self, notebook: Notebook) -> str:
        return json.dumps(
            notebook,
            indent=self.indent,
            sort_keys=self.sort_keys,
            ensure_ascii=self.ascii_only,
            separators=(self.comma.rstrip() if self.indent is not None else self.comma, self.colon),
        )


JUPYTER = Style()
COLAB = Style(indent=2, sort_keys=False)
STYLES = {
    "jupyter": JUPYTER,
    "colab": COLAB,
    "tabs": Style(indent="\t"),
    "no indentation": Style(indent=0),
    "one line": Style(indent=None),
    "compact": Style(indent=None, sort_keys=False, comma=",", colon=":"),
    "ASCII": Style(indent=4, ascii_only=True),
}


def notebook(minor: int = 5) -> Notebook:
    """A typical notebook: cells of each type, outputs, metadata of several programs, and a float."""
    cells: list[Notebook] = [
        {"cell_type": "markdown", "metadata": {"id": "aB3"}, "source": ["# Übung 1 🙂\n", "Text"]},
        {
            "cell_type": "code",
            "execution_count": 3,
            "metadata": {"colab": {"height": 35}, "tags": ["parameters"]},
            "outputs": [
                {"name": "stdout", "output_type": "stream", "text": ["1\n"]},
                {
                    "data": {"image/png": "iVBORw0KGgo=\n", "text/plain": ["<Figure>"]},
                    "metadata": {},
                    "output_type": "display_data",
                },
            ],
            "source": "print(1)",
        },
        {"cell_type": "raw", "metadata": {}, "source": []},
    ]
    if minor >= 5:
        cells = [{**cell, "id": f"cell-{number}"} for number, cell in enumerate(cells)]
    return {
        "nbformat": 4,
        "nbformat_minor": minor,
        "metadata": {
            "colab": {"provenance": [], "toc_visible": True},
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python", "env": {}},
            "language_info": {"name": "python", "version": "3.12.1"},
            "zoom": 1.5,
        },
        "cells": cells,
    }


def other_content(text: str) -> Notebook:
    """The notebook without the parts that colabenv sets."""
    data: Notebook = json.loads(text)
    for key in ("name", "display_name", "language"):
        data["metadata"].get("kernelspec", {}).pop(key, None)
    data["cells"] = [cell for cell in data["cells"] if "colabenv" not in cell["metadata"]]
    return data


def load_valid(text: str) -> Notebook:
    """Load a notebook and validate it against nbformat's schema."""
    data: Notebook = json.loads(text)
    nbformat.validate(data)
    return data


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_style_and_version_are_preserved(style: Style) -> None:
    for minor in range(6):
        version = f"nbformat 4.{minor}"
        text = style.write(notebook(minor))
        changed = set_environment(text, VISION, "x.ipynb")
        data = load_valid(changed)
        assert data["nbformat_minor"] == minor
        assert data["metadata"]["kernelspec"] == {**SPEC, "env": {}}, version
        assert "".join(data["cells"][0]["source"]) == f"{HEADER}\n!one\n!two vision.yaml", version
        assert data["cells"][0].get("id") == ("colabenv-up" if minor >= 5 else None), version
        assert other_content(changed) == other_content(text), version
        assert changed == style.write(data), version
        assert set_environment(changed, VISION, "x.ipynb") == changed, version


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_another_profile_changes_only_the_colabenv_cell_and_the_kernel(style: Style) -> None:
    first = set_environment(style.write(notebook()), VISION, "x.ipynb")
    second = set_environment(first, OTHER, "x.ipynb")
    assert load_valid(second)["metadata"]["kernelspec"]["display_name"] == "Ökologie"
    assert json.loads(second)["cells"][0]["metadata"]["colabenv"]["profile"] == "../other.yaml"
    assert len(json.loads(second)["cells"]) == 4
    assert other_content(second) == other_content(first)
    assert second == style.write(json.loads(second))
    assert set_environment(second, VISION, "x.ipynb") == first


# Characters that JSON escapes, or that a search for brackets and quotes could mistake. All of Unicode takes seconds.
texts = st.text('ab é🙂"\\/{}[]:,\n\r\t\0\x7f\u2028\ud83d', max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, values, max_size=4)
styles = st.builds(
    Style,
    indent=st.sampled_from([None, 0, 1, 2, 4, "\t"]),
    sort_keys=st.booleans(),
    ascii_only=st.just(True),
    comma=st.sampled_from([", ", ","]),
    colon=st.sampled_from([": ", ":"]),
)
cells = st.builds(
    lambda kind, metadata, source: {"cell_type": kind, "metadata": metadata, "source": source},
    st.sampled_from(["markdown", "raw", "code"]),
    objects,
    texts | st.lists(texts, max_size=3),
)


@settings(deadline=None, database=None)
@given(objects, st.lists(cells, max_size=3), objects, styles)
def test_other_content_of_a_notebook_is_unchanged(
    metadata: Notebook, cells: list[Notebook], more: Notebook, style: Style
) -> None:
    # Only a non-ASCII character shows whether a file uses escapes, so the metadata has one.
    data = {"cells": cells, "metadata": {"é": 1, **metadata}, "nbformat": 4, "nbformat_minor": 4}
    text = style.write({**more, **data})
    changed = set_environment(text, VISION, "x.ipynb")
    assert other_content(changed)["cells"] == cells
    result = json.loads(changed)
    assert {key: result[key] for key in more if key not in data} == {
        key: more[key] for key in more if key not in data
    }
    assert {key: value for key, value in result["metadata"].items() if key != "kernelspec"} == data[
        "metadata"
    ]
    assert changed == style.write(json.loads(changed))
    assert set_environment(changed, VISION, "x.ipynb") == changed


def test_line_endings_byte_order_mark_and_last_newline_are_preserved() -> None:
    text = "\ufeff" + JUPYTER.write(notebook()).replace("\n", "\r\n") + "\r\n"
    changed = set_environment(text, VISION, "x.ipynb")
    assert changed.count("\n") == changed.count("\r\n") > text.count("\n")
    assert changed.startswith("\ufeff{\r\n")
    assert changed.endswith("}\r\n")
    load_valid(changed.removeprefix("\ufeff"))
    assert set_environment(changed, VISION, "x.ipynb") == changed


def test_unusual_json_is_preserved() -> None:
    unusual = '{"a": 1.10, "big": 1e999, "half": "\\ud800", "slash": "\\/", "n": NaN, "a": 2,  "z" :[ 1 ]}'
    text = f'{{"metadata": {{"unusual": {unusual}}}, "nbformat": 4, "nbformat_minor": 4, "cells": []}}'
    changed = set_environment(text, VISION, "x.ipynb")
    assert unusual in changed
    assert json.loads(changed)["metadata"]["kernelspec"] == SPEC
    assert len(json.loads(changed)["cells"]) == 1


def test_last_of_duplicate_json_keys_is_edited() -> None:
    text = '{"cells": [], "metadata": {"kernelspec": 1}, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}'
    changed = set_environment(text, VISION, "x.ipynb")
    assert json.loads(changed)["metadata"]["kernelspec"] == SPEC
    assert '"metadata": {"kernelspec": 1}' in changed


def test_any_kernelspec_is_replaced() -> None:
    kernelspecs: list[object] = [None, {}, [], "python3", {"name": "python3"}]
    for kernelspec in kernelspecs:
        data = {"cells": [], "metadata": {"kernelspec": kernelspec}, "nbformat": 4, "nbformat_minor": 2}
        changed = load_valid(set_environment(JUPYTER.write(data), VISION, "x.ipynb"))
        assert changed["metadata"]["kernelspec"] == SPEC, kernelspec


def test_colabenv_cell_is_found_after_it_was_moved() -> None:
    data = json.loads(set_environment(JUPYTER.write(notebook()), VISION, "x.ipynb"))
    data["cells"].append(data["cells"].pop(0))
    text = JUPYTER.write(data)
    assert set_environment(text, VISION, "x.ipynb") == text
    moved = load_valid(set_environment(text, OTHER, "x.ipynb"))["cells"]
    assert [cell["metadata"].get("colabenv") for cell in moved[:-1]] == [None, None, None]
    assert "!two ../other.yaml" in moved[-1]["source"]


def test_colabenv_cell_is_recognized_without_metadata_and_as_one_string() -> None:
    data = json.loads(set_environment(JUPYTER.write(notebook()), VISION, "x.ipynb"))
    cell = data["cells"][0]
    cell.update(metadata={"id": "x"}, source="".join(cell["source"]), execution_count=7)
    cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": ["done\n"]}]
    changed = load_valid(set_environment(JUPYTER.write(data), VISION, "x.ipynb"))
    assert len(changed["cells"]) == 4
    assert changed["cells"][0] == {**cell, "metadata": {"id": "x", **VISION.metadata}}


def test_new_cell_has_a_unique_id() -> None:
    data = notebook()
    data["cells"][0]["id"] = "colabenv-up"
    ids = [cell["id"] for cell in load_valid(set_environment(JUPYTER.write(data), VISION, "x"))["cells"]]
    assert ids == ["colabenv-up-2", "colabenv-up", "cell-1", "cell-2"]


def test_colabenv_cell_changed_to_markdown_is_left_unchanged() -> None:
    data = notebook()
    data["cells"][0].update(source=[HEADER], metadata=VISION.metadata)
    changed = json.loads(set_environment(JUPYTER.write(data), VISION, "x"))
    assert changed["cells"][1] == data["cells"][0]
    assert len(changed["cells"]) == 4


def test_updating_a_new_notebook_changes_nothing() -> None:
    text = render_new_notebook(OTHER)
    data = load_valid(text)
    assert (data["nbformat"], data["nbformat_minor"], len(data["cells"])) == (4, 5, 2)
    assert text == JUPYTER.write(data) + "\n"
    assert set_environment(text, OTHER, "x.ipynb") == text
    assert set_environment(text, replace(OTHER, commands=("!three",)), "x.ipynb") != text


DAMAGED = "is a damaged notebook"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid JSON at line 1, column 1"),
        ("{\n<<<<<<< HEAD\n}", "invalid JSON at line 2"),
        ("import os\n", "invalid JSON at line 1"),
        ('{"a": 1', "invalid JSON at line 1"),
        ("[" * 100_000, "nested too deeply"),
        ("1" * 5000, "not a notebook"),
        ("[]", "is JSON, but not a notebook"),
        ('{"nbformat": true}', "is JSON, but not a notebook"),
        ('{"nbformat": 3, "worksheets": [], "metadata": {}}', "old notebook format 3"),
        ('{"nbformat": 5}', "format 5"),
        ('{"nbformat": 4, "nbformat_minor": 5, "cells": []}', DAMAGED),
        ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}', DAMAGED),
        ('{"nbformat": 4, "nbformat_minor": "5", "metadata": {}, "cells": []}', DAMAGED),
        ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [1]}', DAMAGED),
        ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": {}}', DAMAGED),
    ],
)
def test_invalid_notebook_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        set_environment(text, VISION, "lesson.ipynb")
    assert message in caught.value.message
    assert caught.value.message.startswith("lesson.ipynb ")


def test_hint_for_an_old_format_and_a_merge_conflict() -> None:
    with pytest.raises(UsageError) as caught:
        set_environment('{"nbformat": 2}', VISION, "old.ipynb")
    assert "jupyter nbconvert --to notebook --inplace old.ipynb" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        set_environment("{\n<<<<<<< HEAD\n}", VISION, "x.ipynb")
    assert "merge conflict" in caught.value.hint


@pytest.mark.parametrize(
    ("metadata", "language"),
    [
        ({"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}}, "R"),
        ({"kernelspec": {"name": "ir", "display_name": "R"}}, "R"),
        ({"kernelspec": {"name": "julia-1.10"}}, "julia-1.10"),
        ({"kernelspec": {"name": "x"}, "language_info": {"name": "julia"}}, "julia"),
    ],
)
def test_notebook_of_another_language_is_refused(metadata: Notebook, language: str) -> None:
    data = {"cells": [], "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}
    with pytest.raises(UsageError, match=f"is a notebook for {language},"):
        set_environment(json.dumps(data), VISION, "x.ipynb")


@pytest.mark.parametrize(
    "metadata",
    [
        {"kernelspec": {"name": "python2", "language": "Python"}},
        {"kernelspec": {"name": "anything"}},
        {"kernelspec": {"name": "x", "language": "python"}, "language_info": {"name": "R"}},
        {"language_info": {"name": "ipython"}},
    ],
)
def test_python_notebooks_with_any_kernel_name_are_accepted(metadata: Notebook) -> None:
    data = {"cells": [], "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}
    assert json.loads(set_environment(json.dumps(data), VISION, "x"))["metadata"]["kernelspec"] == SPEC
