"""The capture of a kernel's last failure."""

from __future__ import annotations

import json
import sys
import types

from colabenv.embedded import capture


class FailingStrError(Exception):
    """An exception whose __str__ fails."""

    def __str__(self) -> str:
        raise RuntimeError("__str__ fails")


def raise_and_catch(error: BaseException) -> BaseException:
    """Return the exception with a traceback."""
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - it may be any exception
        return caught


def test_exception_is_captured_with_its_traceback() -> None:
    failure = capture.capture_failure(raise_and_catch(ImportError("no such thing")))
    assert (failure["kind"], failure["message"]) == ("ImportError", "no such thing")
    assert failure["frames"][-1][2] == "raise_and_catch"
    assert failure["statement"] == "raise error"
    assert failure["text"].startswith("Traceback (most recent call last)")
    assert failure["executable"] == sys.executable
    assert json.loads(json.dumps(failure)) == failure


def test_syntax_error_is_captured_with_its_line() -> None:
    try:
        compile("x = = 1", "<cell>", "exec")
    except SyntaxError as error:
        assert capture.capture_failure(error)["statement"] == "x = = 1"


def test_exception_whose_str_fails_has_no_message() -> None:
    failure = capture.capture_failure(raise_and_catch(FailingStrError()))
    assert (failure["kind"], failure["message"]) == ("FailingStrError", "")


def test_traceback_of_a_deep_recursion_is_truncated() -> None:
    def recurse() -> None:
        recurse()

    try:
        recurse()
    except RecursionError as error:
        failure = capture.capture_failure(error)
    assert len(failure["frames"]) == 200
    assert len(failure["text"]) < 101_000


def test_attributes_of_lazy_modules_are_not_read() -> None:
    class Lazy(types.ModuleType):
        def __getattr__(self, name: str) -> str:
            raise AssertionError(f"{name} was read")

    sys.modules["lazy_module"] = Lazy("lazy_module")
    try:
        modules = capture.list_loaded_modules()
    finally:
        del sys.modules["lazy_module"]
    assert "lazy_module" not in modules
    version, file = modules["pytest"]
    assert version
    assert file.endswith("__init__.py")
    assert not any("." in name for name in modules)
