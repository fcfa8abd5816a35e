"""What a capture of a kernel's last failure holds."""

from __future__ import annotations

import json
import sys
import types

from colabenv.embedded import capture


class RudeError(Exception):
    """An exception whose __str__ fails."""

    def __str__(self) -> str:
        raise RuntimeError("not even this")


def raised(error: BaseException) -> BaseException:
    """The same with a traceback."""
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - it may be any exception
        return caught


def test_an_exception() -> None:
    seen = capture.capture_failure(raised(ImportError("no such thing")))
    assert (seen["kind"], seen["message"]) == ("ImportError", "no such thing")
    assert seen["frames"][-1][2] == "raised"
    assert seen["statement"] == "raise error"
    assert seen["text"].startswith("Traceback (most recent call last)")
    assert seen["executable"] == sys.executable
    assert json.loads(json.dumps(seen)) == seen


def test_a_syntax_error() -> None:
    try:
        compile("x = = 1", "<cell>", "exec")
    except SyntaxError as error:
        assert capture.capture_failure(error)["statement"] == "x = = 1"


def test_an_exception_whose_str_fails() -> None:
    seen = capture.capture_failure(raised(RudeError()))
    assert (seen["kind"], seen["message"]) == ("RudeError", "")


def test_a_deep_recursion_is_cut() -> None:
    def deeper() -> None:
        deeper()

    try:
        deeper()
    except RecursionError as error:
        seen = capture.capture_failure(error)
    assert len(seen["frames"]) == 200
    assert len(seen["text"]) < 101_000


def test_attributes_of_modules_are_not_read() -> None:
    class Lazy(types.ModuleType):
        def __getattr__(self, name: str) -> str:
            raise AssertionError(f"{name} was read")

    sys.modules["lazy_module"] = Lazy("lazy_module")
    try:
        found = capture.list_loaded_modules()
    finally:
        del sys.modules["lazy_module"]
    assert "lazy_module" not in found
    version, file = found["pytest"]
    assert version
    assert file.endswith("__init__.py")
    assert not any("." in name for name in found)
