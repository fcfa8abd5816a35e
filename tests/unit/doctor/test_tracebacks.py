"""Reading tracebacks of Python and IPython, alone, in logs and in exception groups."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from colabenv.doctor.tracebacks import MAX_TEXT, read_tracebacks
from support.timeouts import limit_processor_time

# Output of IPython 7.34 (Colab's) and 9.18 in each mode of `%xmode`; CASES has the exception of each sample.
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


def test_ipython_tracebacks_are_read() -> None:
    for name, text in SAMPLES.items():
        (error,) = read_tracebacks(text, "cell 1")
        kind, message, statement = CASES[name.rpartition("/")[2]]
        assert error.kind == kind, name
        assert error.message.startswith(message), name
        if "Context" in name:
            assert error.statement == statement, name
            assert bool(error.frames) == (kind != "SyntaxError"), name


def test_python_traceback_is_read() -> None:
    (error,) = read_tracebacks(PLAIN, "the traceback", is_local=False)
    assert error.kind == "ImportError"
    assert error.frames == (("/content/train.py", 3, "<module>"),)
    assert error.statement == "from keras.utils import np_utils"
    assert error.text == PLAIN.strip()
    assert not error.is_local


def test_statement_is_in_the_users_code() -> None:
    text = PLAIN.replace(
        "ImportError",
        '  File "/usr/lib/python3/dist-packages/keras/x.py", line 8, in f\n    import np_utils\nImportError',
    )
    (error,) = read_tracebacks(text, "it")
    assert error.statement == "from keras.utils import np_utils"
    assert error.frames[-1][0].endswith("keras/x.py")


def test_statement_of_the_caller_is_used() -> None:
    (error,) = read_tracebacks(PLAIN, "it", statement="import keras")
    assert error.statement == "import keras"


def test_several_tracebacks_are_numbered() -> None:
    errors = list(read_tracebacks(f"{PLAIN}\n\nlater\n\n{PLAIN}", "log"))
    assert [error.source for error in errors] == ["log", "log (2)"]


def test_last_exception_of_a_chain_is_reported() -> None:
    chained = f"{PLAIN}\nThe above exception was the direct cause of the following exception:\n\n" + (
        'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\nRuntimeError: no\n'
    )
    (error,) = read_tracebacks(chained, "it")
    assert (error.kind, error.message) == ("RuntimeError", "no")
    assert "np_utils" in error.text


def test_message_can_have_several_lines() -> None:
    text = PLAIN + "If this call came from a _pb2.py file:\n\n 1. Downgrade the protobuf package.\n"
    (error,) = read_tracebacks(text, "it")
    assert error.message.splitlines()[-1] == " 1. Downgrade the protobuf package."


def test_prefixes_of_log_lines_are_removed() -> None:
    for prefix in (
        "2026-11-22 10:00:00,123 ERROR ",
        "[worker-3] ",
        "    ",
        "E1122 10:00:00.000001 7 a.cc:3] ",
    ):
        log = "\n".join(["2026-11-22 09:59:59 INFO start", *(prefix + line for line in PLAIN.splitlines())])
        (error,) = read_tracebacks(f"{log}\n2026-11-22 10:00:01 INFO the end\n", "log")
        assert error.kind == "ImportError", prefix
        assert "the end" not in error.message, prefix
        assert error.frames, prefix


def test_exception_group_and_its_first_exception_are_read() -> None:
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
    errors = list(read_tracebacks(text, "it"))
    assert [error.kind for error in errors] == ["ExceptionGroup", "ModuleNotFoundError"]
    assert errors[1].message.startswith("No module named 'keras.engine'")
    assert errors[1].statement == "import keras.engine"


def test_last_line_of_a_traceback_is_enough() -> None:
    (error,) = read_tracebacks("I see\nModuleNotFoundError: No module named 'tensorflow.contrib'\n", "it")
    assert (error.kind, error.message) == ("ModuleNotFoundError", "No module named 'tensorflow.contrib'")


def test_note_of_colab_is_not_part_of_the_message() -> None:
    text = f"{PLAIN}\n{'-' * 75}\nNOTE: If your import is failing due to a missing package, you can\n"
    (error,) = read_tracebacks(text, "it")
    assert "NOTE" not in error.message


def test_text_without_an_exception_has_no_error() -> None:
    for text in (
        "",
        "\n\n",
        "all is well",
        "UserWarning: careful",
        "Traceback (most recent call last):",
        "Traceback (most recent call last):\n  File",
        "Traceback (most recent call last):\n0KeyError: no name begins with a digit",
        "Error: the name of no exception" * 3 + "\x00\x01",
    ):
        assert [error for error in read_tracebacks(text, "it") if error.kind != "Error"] == [], text


def test_traceback_is_read_from_a_log_of_a_hundred_megabytes() -> None:
    with limit_processor_time(20):
        (error,) = read_tracebacks("INFO all is well so far\n" * 4_500_000 + PLAIN, "log")
        assert error.kind == "ImportError"
        assert len(error.text) < MAX_TEXT


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


@given(st.lists(_PIECES | st.text("aé.:()[]'\\ \t\x85\u2028", max_size=10), max_size=20).map("".join))
def test_any_text_is_accepted(text: str) -> None:
    for error in read_tracebacks(text, "it"):
        assert error.kind
        assert error.source.startswith("it")
