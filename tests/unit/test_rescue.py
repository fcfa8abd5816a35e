"""How scripts/rescue judges cells: the environment is to blame unless something else is known to be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "scripts"))

from rescuelib import cells, report, user  # type: ignore[import-not-found]
from rescuelib.outcome import Executed, Failure, Kind, judge  # type: ignore[import-not-found]

ENVIRONMENT, DATA, OWN, RAN = Kind.ENVIRONMENT, Kind.DATA, Kind.OWN, Kind.RAN


def failed(name: str, message: str = "", trace: str = "", code: str = "work()") -> Executed:
    return Executed(code, "error", trace, Failure(name, message, trace))


def kinds(*executed: Executed, modules: tuple[str, ...] = ()) -> list[Kind]:
    return [outcome.kind for outcome in judge(executed, modules)]


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (ENVIRONMENT, "ModuleNotFoundError", "No module named 'tensorflow_addons'"),
        (ENVIRONMENT, "ImportError", "cannot import name 'SGD' from 'keras.optimizers'"),
        (
            ENVIRONMENT,
            "ImportError",
            "libcudart.so.10.0: cannot open shared object file: No such file or directory",
        ),
        (ENVIRONMENT, "AttributeError", "module 'tensorflow' has no attribute 'placeholder'"),
        (ENVIRONMENT, "AttributeError", "module 'numpy' has no attribute 'object'"),
        (ENVIRONMENT, "TypeError", "__init__() got an unexpected keyword argument 'lr'"),
        (ENVIRONMENT, "TypeError", "connect() got an unexpected keyword argument 'api_key'"),
        (ENVIRONMENT, "TypeError", "Descriptors cannot be created directly."),
        (ENVIRONMENT, "ValueError", "numpy.dtype size changed, may indicate binary incompatibility"),
        (ENVIRONMENT, "ValueError", "a doubtful one"),
        (ENVIRONMENT, "RuntimeError", "tf.gradients is not supported when eager execution is enabled."),
        (ENVIRONMENT, "UsageError", "Line magic function `%tensorflow_version` not found."),
        (ENVIRONMENT, "SyntaxError", "Missing parentheses in call to 'print'"),
        (
            ENVIRONMENT,
            "FileNotFoundError",
            "[Errno 2] No such file or directory: '/x/site-packages/a/data.txt'",
        ),
        (ENVIRONMENT, "OSError", "libGL.so.1: cannot open shared object file: No such file or directory"),
        (DATA, "FileNotFoundError", "[Errno 2] No such file or directory: 'housing.csv'"),
        (DATA, "NotFoundError", "data/train; No such file or directory"),
        (DATA, "URLError", "<urlopen error [Errno -2] Name or service not known>"),
        (DATA, "Exception", "URL fetch failure on https://example.org/mnist.npz: None"),
        (DATA, "ConnectionError", "HTTPSConnectionPool(host='example.org', port=443): Max retries exceeded"),
        (DATA, "OSError", "We couldn't connect to 'https://example.org' to load this file"),
        (DATA, "LookupError", "Resource punkt not found."),
        (DATA, "SecretNotFoundError", "Secret TOKEN does not exist."),
        (DATA, "OSError", "Could not find kaggle.json. Make sure it's located in /root/.kaggle"),
        (DATA, "MessageError", "the user cancelled"),
        (DATA, "UnauthenticatedError", "User is not authenticated"),
        (DATA, "ValueError", "No images found in directory train. Allowed formats: ('.png',)"),
        (DATA, "SystemError", "GPU device not found"),
        (DATA, "error", "(-215:Assertion failed) !_src.empty() in function 'cvtColor'"),
    ],
)
def test_kind_of_an_exception(kind: Kind, name: str, message: str) -> None:
    assert kinds(failed(name, message)) == [kind]


def test_exception_raised_from_one_of_the_network_is_about_data() -> None:
    trace = (
        "Traceback\nURLError: <urlopen error>\n\nDuring handling of the above exception, another exception occurred:\n"
        "\nValueError: no checkpoint"
    )
    assert kinds(failed("ValueError", "no checkpoint", trace)) == [DATA]
    own = "Traceback\n  handles URLError here\nValueError: no checkpoint"
    assert kinds(failed("ValueError", "no checkpoint", own)) == [ENVIRONMENT]


@pytest.mark.parametrize(
    ("kind", "code", "text"),
    [
        (RAN, "!pip install six", "Successfully installed six-1.17.0"),
        (
            RAN,
            "!pip install six",
            "ERROR: pip's dependency resolver does not currently take into account the packages.\n"
            "a 1 requires b<2, but you have b 3 which is incompatible.\nSuccessfully installed six-1.17.0",
        ),
        (
            ENVIRONMENT,
            "!pip install tensorflow==1.15",
            "ERROR: No matching distribution found for tensorflow==1.15",
        ),
        (
            ENVIRONMENT,
            "%pip install gym==0.12",
            "error: subprocess-exited-with-error\n  × python setup.py egg_info",
        ),
        (ENVIRONMENT, "!apt install python3.7", "E: Unable to locate package python3.7"),
        (
            DATA,
            "!pip install git+https://example.org/a/b",
            "ERROR: Command errored out\nfatal: unable to access 'https://example.org/': Could not resolve host",
        ),
        (DATA, "!git clone https://example.org/a/b", "fatal: unable to access 'https://example.org/'"),
        (RAN, "!ls", "sample_data"),
        (
            ENVIRONMENT,
            "!python train.py",
            "Traceback (most recent call last):\n  File 'train.py', line 1\nAttributeError: no attribute 'x'\n",
        ),
        (
            DATA,
            "%%bash\npython train.py",
            "Traceback (most recent call last):\n  File 'train.py', line 1\n"
            "FileNotFoundError: [Errno 2] No such file or directory: 'a.csv'\n",
        ),
        (RAN, "print('ERROR: none')", "ERROR: none"),
    ],
)
def test_program_that_fails_fails_its_cell(kind: Kind, code: str, text: str) -> None:
    assert kinds(Executed(code, "ok", text)) == [kind]


def missing_name(name: str) -> Executed:
    return failed("NameError", f"name '{name}' is not defined", code=f"print({name})")


def test_missing_name_has_the_kind_of_the_cell_that_should_have_defined_it() -> None:
    no_file = failed("FileNotFoundError", "No such file or directory: 'a.csv'", code="data = read('a.csv')")
    no_module = failed("ModuleNotFoundError", "No module named 'gym'", code="import gym\nenv = gym.make('a')")
    uses_data = failed("NameError", "name 'data' is not defined", code="model = fit(data)")
    outcomes = judge([no_file, no_module, uses_data, missing_name("model"), missing_name("env")])
    assert [outcome.kind for outcome in outcomes] == [DATA, ENVIRONMENT, DATA, DATA, ENVIRONMENT]
    assert [outcome.cause for outcome in outcomes] == [None, None, 0, 0, 1]


def test_failure_with_a_stale_value_has_the_kind_of_the_cell_that_should_have_renewed_it() -> None:
    first = Executed("op = build()", "ok")
    no_data = failed(
        "FileNotFoundError", "No such file or directory: 'a.csv'", code="op = build(read('a.csv'))"
    )
    empty = failed("RuntimeError", "The Session graph is empty.", code="session.run(op)")
    removed = failed("AttributeError", "no attribute 'run'", code="session.run(op)")
    unknown = failed("RuntimeError", "The Session graph is empty.", code="session.run(other)")
    assert kinds(first, no_data, empty, removed, unknown) == [RAN, DATA, DATA, ENVIRONMENT, ENVIRONMENT]
    assert kinds(no_data, first, empty) == [DATA, RAN, ENVIRONMENT]


def test_name_that_no_cell_defines_is_a_fault_of_the_notebook_unless_it_may_come_from_elsewhere() -> None:
    fine = Executed("x = 1", "ok")
    assert kinds(fine, missing_name("y")) == [RAN, OWN]
    assert kinds(fine, missing_name("x")) == [RAN, ENVIRONMENT]
    assert kinds(fine, missing_name("xrange")) == [RAN, ENVIRONMENT]
    assert kinds(Executed("from utils import *", "ok"), missing_name("y")) == [RAN, ENVIRONMENT]


def test_error_that_the_notebook_was_published_with_is_its_own() -> None:
    error, other = Failure("ValueError", "bad shape", ""), Failure("ValueError", "other", "")
    module = Failure("ModuleNotFoundError", "No module named 'gym'", "")
    assert kinds(Executed("f()", "error", "", error, published=error)) == [OWN]
    assert kinds(Executed("f()", "error", "", error, published=other)) == [ENVIRONMENT]
    assert kinds(Executed("f()", "error", "", error, may_fail=True)) == [OWN]
    assert kinds(Executed("import gym", "error", "", module, published=module)) == [ENVIRONMENT]


def test_cell_that_no_python_accepts_is_a_fault_of_the_notebook() -> None:
    assert kinds(failed("SyntaxError", "invalid syntax", code="x = data[ ? ]")) == [OWN]
    assert kinds(failed("SyntaxError", "Missing parentheses", code="print 'Python 2'")) == [ENVIRONMENT]
    assert kinds(failed("SyntaxError", "invalid syntax", code="match x:\n    case 1: pass")) == [ENVIRONMENT]


def test_module_of_the_notebooks_own_repository_is_missing_data() -> None:
    utils = failed("ModuleNotFoundError", "No module named 'utils.plots'")
    assert kinds(utils, modules=("utils",)) == [DATA]
    assert kinds(utils) == [ENVIRONMENT]


def test_dead_kernel_is_the_environments_fault_unless_the_cell_ends_it() -> None:
    assert kinds(Executed("import tensorflow", "dead")) == [ENVIRONMENT]
    assert kinds(Executed("import os\nos.kill(os.getpid(), 9)", "dead")) == [RAN]
    assert kinds(Executed("fit()", "limited"), Executed("predict()", "lost")) == [Kind.LIMITED, Kind.NOT_RUN]


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import a.b, c as d\nfrom e import f as g", {"a", "d", "g"}),
        ("x, (y, *z) = 1, 2\nfor i in x: w = 1", {"x", "y", "z", "i", "w"}),
        ("def f(a):\n    b = 1\nclass C:\n    d = 1", {"f", "C"}),
        ("%matplotlib inline\nfiles = !ls \\\n  -l\n!pip install six\nx = 1", {"files", "x"}),
        ("%%time\nx = 1", {"x"}),
        ("%%bash\nx=1", set()),
        ("with open(p) as f:\n    !cat {p}\n    t = f.read()", {"f", "t"}),
        ("print 'Python 2'", set()),
    ],
)
def test_names_that_a_cell_defines(code: str, names: set[str]) -> None:
    assert cells.defined_names(code) == names


@pytest.mark.parametrize(
    ("leading", "rest"),
    [
        ("import os\nos.environ['A'] = '1'\nimport keras\n", "model.fit()"),
        ("!pip install a \\\n  b\nfrom a import b\n", "b.train()"),
        (
            "try:\n    %tensorflow_version 1.x\nexcept Exception:\n    pass\nimport tensorflow as tf\n",
            "tf.run()",
        ),
        ("", "model.fit()\nimport os"),
        ("", "import os"),
        ("", "x = 1\ny = 2"),
        ("", "%%bash\nimport x\ny"),
        ("", "import os\nprint 'Python 2'"),
    ],
)
def test_cell_is_split_after_its_imports(leading: str, rest: str) -> None:
    assert cells.split_imports(leading + rest) == (leading, rest)


def test_page_holds_the_notebook_with_the_added_cell() -> None:
    notebook = {
        "metadata": {"colab": {"provenance": []}},
        "cells": [
            {"cell_type": "markdown", "source": ["# Title"]},
            {"cell_type": "code", "source": ["x = 1\n", "x"]},
            {"cell_type": "code", "source": []},
        ],
    }
    opened = user.with_added_cells("a.ipynb", notebook, ["%colabenv up"])
    assert [user.source(cell) for cell in user.code_cells(opened)] == ["%colabenv up", "x = 1\nx"]
    assert opened["metadata"]["colab"] == {"provenance": [], "name": "a.ipynb"}
    old = {"worksheets": [{"cells": [{"cell_type": "code", "input": ["y"]}]}]}
    assert [user.source(cell) for cell in user.code_cells(old)] == ["y"]


def test_notebook_is_rescued_if_every_cell_ended_and_none_failed_because_of_the_environment() -> None:
    good = user.Run([Executed("%colabenv up", "ok")], [Executed("x = 1", "ok")], [1.0])
    cut = user.Run([], [Executed("fit()", "limited"), Executed("x", "lost")], [60.0, 0.0])
    failed_up = user.Run([failed("UnsatisfiableError", "No versions.")], [Executed("x = 1", "ok")], [1.0])
    results = [report.summarize(run, frozenset()) for run in (good, cut, failed_up)]
    assert [result["rescued"] for result in results] == [True, None, False]
    assert results[2]["failures"] == [
        {"cell": -1, "kind": "environment", "error": "UnsatisfiableError: No versions."}
    ]
    records = [
        {"file": f"{number}.ipynb", "era": "tf1", "plain": result} for number, result in enumerate(results)
    ]
    assert "| tf1 | 3 | 1 of 2 (50 %) | – |" in report.render_table(records)
