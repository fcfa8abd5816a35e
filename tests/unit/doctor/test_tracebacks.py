"""Tracebacks as they come: Python's, IPython's, in logs, in groups, cut off, and texts that hold none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colabenv.doctor.tracebacks import MAX_TEXT, read_tracebacks
from support.patience import processor_seconds

# Written by IPython 7.34 (Colab's) and 9.18 themselves, in the modes of `%xmode`, for the cells that CASES names.


SAMPLES = json.loads((Path(__file__).parents[2] / "data" / "tracebacks" / "ipython.json").read_text())
CASES = {
    "import": ("ModuleNotFoundError", "No module named 'json.nothing'", "from json.nothing import thing"),
    "chain": ("ModuleNotFoundError", "No module named 'nothing_here'", "import nothing_here"),
    "cause": ("ImportError", "two\nlines", "raise ImportError('two\\nlines') from e"),
    "lib": ("JSONDecodeError", "Expecting property name enclosed in double quotes", "json.loads('{')"),
    "syntax": ("SyntaxError", "invalid syntax", ""),
}
PLAIN = """Traceback (most recent call last):
  File "/content/train.py", line 3, in <module>
    from keras.utils import np_utils
ImportError: cannot import name 'np_utils' from 'keras.utils' (/usr/lib/x/keras/utils/__init__.py)
"""


@pytest.mark.parametrize("name", SAMPLES)
def test_what_ipython_shows(name: str) -> None:
    (found,) = read_tracebacks(SAMPLES[name], "cell 1")
    kind, message, line = CASES[name.rpartition("/")[2]]
    assert found.kind == kind
    assert found.message.startswith(message)
    if "Context" in name:
        assert found.statement == line
        assert bool(found.frames) == (kind != "SyntaxError")


def test_a_plain_one() -> None:
    (found,) = read_tracebacks(PLAIN, "the traceback", is_local=False)
    assert found.kind == "ImportError"
    assert found.frames == (("/content/train.py", 3, "<module>"),)
    assert found.statement == "from keras.utils import np_utils"
    assert found.text == PLAIN.strip()
    assert not found.is_local


def test_the_line_is_the_persons_own() -> None:
    text = PLAIN.replace(
        "ImportError",
        '  File "/usr/lib/python3/dist-packages/keras/x.py", line 8, in f\n    import np_utils\nImportError',
    )
    (found,) = read_tracebacks(text, "it")
    assert found.statement == "from keras.utils import np_utils"
    assert found.frames[-1][0].endswith("keras/x.py")


def test_a_statement_that_is_given_counts() -> None:
    (found,) = read_tracebacks(PLAIN, "it", statement="import keras")
    assert found.statement == "import keras"


def test_several_are_numbered() -> None:
    found = list(read_tracebacks(f"{PLAIN}\n\nlater\n\n{PLAIN}", "log"))
    assert [one.source for one in found] == ["log", "log (2)"]


def test_of_a_chain_the_last_counts_and_all_is_shown() -> None:
    chained = f"{PLAIN}\nThe above exception was the direct cause of the following exception:\n\n" + (
        'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\nRuntimeError: no\n'
    )
    (found,) = read_tracebacks(chained, "it")
    assert (found.kind, found.message) == ("RuntimeError", "no")
    assert "np_utils" in found.text


def test_a_message_of_several_lines() -> None:
    text = PLAIN + "If this call came from a _pb2.py file:\n\n 1. Downgrade the protobuf package.\n"
    (found,) = read_tracebacks(text, "it")
    assert found.message.splitlines()[-1] == " 1. Downgrade the protobuf package."


@pytest.mark.parametrize(
    "before", ["2026-11-22 10:00:00,123 ERROR ", "[worker-3] ", "    ", "E1122 10:00:00.000001 7 a.cc:3] "]
)
def test_in_the_middle_of_a_log(before: str) -> None:
    log = "\n".join(["2026-11-22 09:59:59 INFO start", *(before + line for line in PLAIN.splitlines())])
    (found,) = read_tracebacks(f"{log}\n2026-11-22 10:00:01 INFO the end\n", "log")
    assert found.kind == "ImportError"
    assert "the end" not in found.message
    assert found.frames


def test_a_group_and_what_is_in_it() -> None:
    text = """  + Exception Group Traceback (most recent call last):
  |   File "a.py", line 9, in <module>
  |     raise ExceptionGroup("both", errors)
  | ExceptionGroup: both (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "a.py", line 4, in <module>
    |     import keras.engine
    | ModuleNotFoundError: No module named 'keras.engine'
    +---------------- 2 ----------------
    | ValueError: other
    +------------------------------------
"""
    found = list(read_tracebacks(text, "it"))
    assert [one.kind for one in found] == ["ExceptionGroup", "ModuleNotFoundError"]
    assert found[1].message.startswith("No module named 'keras.engine'")
    assert found[1].statement == "import keras.engine"


def test_only_the_last_line_was_copied() -> None:
    (found,) = read_tracebacks("I see\nModuleNotFoundError: No module named 'tensorflow.contrib'\n", "it")
    assert (found.kind, found.message) == ("ModuleNotFoundError", "No module named 'tensorflow.contrib'")


def test_what_colab_adds_below_is_no_part_of_the_message() -> None:
    text = f"{PLAIN}\n{'-' * 75}\nNOTE: If your import is failing due to a missing package, you can\n"
    (found,) = read_tracebacks(text, "it")
    assert "NOTE" not in found.message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "all is well",
        "UserWarning: careful",
        "Traceback (most recent call last):",
        "Traceback (most recent call last):\n  File",
        "Error: a word that ends so, yet begins nothing" * 3 + "\x00\x01",
    ],
)
def test_no_exception(text: str) -> None:
    assert [one for one in read_tracebacks(text, "it") if one.kind != "Error"] == []


def test_a_hundred_megabytes() -> None:
    with processor_seconds(20):
        (found,) = read_tracebacks("INFO all is well so far\n" * 4_500_000 + PLAIN, "log")
        assert found.kind == "ImportError"
        assert len(found.text) < MAX_TEXT


_PIECES = st.sampled_from(
    [
        "Traceback (most recent call last)",
        "Traceback (most recent call last):\n",
        "KeyError        Traceback (most recent call last)\n",
        '  File "a.py", line 3, in f\n',
        "    code()\n",
        "----> 3 code()\n",
        "  + Exception Group Traceback (most recent call last):\n",
        "  | ",
        "During handling of the above exception, another exception occurred:\n",
        "KeyError: 'x'\n",
        "a.b.CError\n",
        "\x1b[31m",
        "\r",
        "\n",
        "Cell In[1], line 99999999999999999999\n",
    ]
)


@given(st.lists(st.one_of(_PIECES, st.text(max_size=20)), max_size=30).map("".join))
def test_nothing_raises(text: str) -> None:
    for one in read_tracebacks(text, "it"):
        assert one.kind
        assert one.source.startswith("it")
