"""The imports that the check of a draft tries, and the packages that they lack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from colabenv.embedded import check_cell
from colabenv.importers.draft import Draft, DraftValue
from colabenv.importers.notebook_source import local_notebook
from colabenv.importers.tried_imports import FailedImport, add_to_draft, find_additions, list_tried_imports

CELLS = [
    "%load_ext colabenv\n%colabenv up",
    "import six, numpy as np\nfrom attr import s, ib\nfrom math import *",
    "import six\nimport utils\nimport written\nfrom google.colab import drive\nfrom google.cloud import storage",
    "try:\n  import optional\nexcept ImportError:\n  pass",
    "%%writefile written.py\nx = 1",
]


def failed(missing: str, statement: str = "import shap") -> FailedImport:
    return FailedImport(statement, missing, "ModuleNotFoundError: …")


def test_statements_of_a_draft(tmp_path: Path) -> None:
    cells: list[dict[str, object]] = [
        {"cell_type": "code", "metadata": {}, "source": cell, "outputs": [], "execution_count": None}
        for cell in CELLS
    ]
    notebook = tmp_path / "lesson.ipynb"
    notebook.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}))
    (tmp_path / "utils.py").touch()
    profile = tmp_path / "lesson.yaml"
    profile.write_text(Draft("lesson", "the notebook lesson.ipynb").text())
    assert list_tried_imports(local_notebook(str(notebook)), profile) == (
        "import six",
        "import numpy",
        "from attr import s, ib",
        "from math import *",
        "from google.cloud import storage",
    )
    profile.write_text("name: lesson\n")
    assert list_tried_imports(local_notebook(str(notebook)), profile) == ()


def test_missing_modules_become_packages_that_are_not_there_yet() -> None:
    additions = find_additions(
        [
            failed("matplotlib"),
            failed("cv2", "import deepcell"),
            failed("matplotlib.pyplot"),
            failed("keras.layers.core"),
            failed("tensorflow"),
            failed("my_utils"),
            failed("six.moves.nothing"),
            failed("", "from attr import nothing"),
        ],
        locked={"six", "keras"},
        present=(),
    )
    assert {name: item.statement for name, item in additions.items()} == {
        "matplotlib": "import shap",
        "opencv-python-headless": "import deepcell",
    }
    assert list(find_additions([failed("kerastuner")], set(), ())) == ["keras-tuner<1.0.3"]
    storage = failed("google.cloud", "from google.cloud import storage")
    assert list(find_additions([storage], set(), ())) == ["google-cloud-storage"]
    # setuptools is there, but a release without pkg_resources.
    resources = failed("pkg_resources")
    assert list(find_additions([resources], {"setuptools"}, ())) == ["setuptools<82"]
    assert not find_additions([resources], {"setuptools"}, ["setuptools<82"])


def test_additions_have_a_comment() -> None:
    draft = Draft("lesson", "the notebook lesson.ipynb", packages=[DraftValue("six", "cell 1 imports it")])
    line = "  - matplotlib  # the check found that `import shap` needs it"
    assert line in add_to_draft(draft.text(), {"matplotlib": failed("matplotlib")}).splitlines()
    draft = Draft("lesson", "the notebook lesson.ipynb")
    line = line.replace("matplotlib", '"matplotlib"')
    assert line in add_to_draft(draft.text(), {"matplotlib": failed("matplotlib")}).splitlines()
    flow = "name: x\npackages: [six]\n"
    assert (
        add_to_draft(flow, {"matplotlib": failed("matplotlib")}) == "name: x\npackages: [six, matplotlib]\n"
    )


def test_check_tries_statements_and_reports_those_that_fail(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report: dict[str, dict[str, float]] = {"seconds": {}}
    statements = [
        "import json",
        "from json import nothing",
        "import no_such_module.inner",
        "import json, sys",
    ]
    failures = check_cell.try_imports(report, statements)
    assert [(text, missing) for text, missing, _ in failures] == [
        ("from json import nothing", ""),
        ("import no_such_module.inner", "no_such_module"),
    ]
    assert failures[1][2].startswith("ModuleNotFoundError: ")
    assert capsys.readouterr().out.splitlines() == [check_cell.STEP_PREFIX + text for text in statements]
    assert list(report["seconds"]) == ["the notebook's imports"]
    assert check_cell.try_imports(report, []) == []
