"""The open notebook, from Colab's page, from its file or from the Jupyter server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from colabenv.errors import UsageError
from colabenv.notebook.open_notebook import find_open_notebook

NOTEBOOK = {
    "cells": [],
    "metadata": {"colab": {"name": "From page.ipynb"}},
    "nbformat": 4,
    "nbformat_minor": 0,
}
KERNEL = "5f0c"


class FakePage:
    """Colab's page, which answers a request after some that time out."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, float]] = []

    def __call__(self, kind: str, request: str, timeout_sec: float) -> Any:
        assert request == ""
        self.requests.append((kind, timeout_sec))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_colabs_page_sends_the_notebook_and_its_name() -> None:
    shell = SimpleNamespace()
    page = FakePage(None, {"ipynb": NOTEBOOK}, {"ipynb": NOTEBOOK})
    source = find_open_notebook(shell, {}, page)
    assert source.is_open
    assert source.name == ""
    assert source.file_name == "From page.ipynb"
    assert json.loads(source.text) == NOTEBOOK
    assert [kind for kind, _ in page.requests] == ["get_ipynb", "get_ipynb"]
    assert page.requests[0][1] < page.requests[1][1]
    # The next time the name is known, and the page is asked only if the text is needed.
    again = find_open_notebook(shell, {}, page)
    assert again.file_name == "From page.ipynb"
    assert len(page.requests) == 2
    assert json.loads(again.text) == NOTEBOOK


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ((None, None, None), "did not answer"),
        ((RuntimeError("refused"),), "refused"),
        (([], {}, 1), "did not answer"),
    ],
)
def test_page_that_sends_nothing_is_an_error(answers: tuple[Any, ...], reason: str) -> None:
    source = find_open_notebook(SimpleNamespace(), {}, FakePage(*answers))
    with pytest.raises(UsageError, match=reason) as caught:
        _ = source.text
    assert "%colabenv up FILE.ipynb" in caught.value.hint


def test_jupyter_and_vs_code_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "lesson.ipynb"
    file.write_text(json.dumps(NOTEBOOK))
    for namespace, environ in (
        ({}, {"JPY_SESSION_NAME": str(file)}),
        ({"__vsc_ipynb_file__": str(file)}, {}),
    ):
        source = find_open_notebook(SimpleNamespace(user_ns=namespace), environ)
        assert (source.file_name, source.folder, source.is_open) == ("lesson.ipynb", tmp_path, True)
        assert json.loads(source.text) == NOTEBOOK


class FakeServer(BaseHTTPRequestHandler):
    """The two parts of a Jupyter server's API that are needed."""

    def do_GET(self) -> None:
        answers: dict[str, Any] = {
            "/base/api/sessions": [
                {"path": "other.ipynb", "kernel": {"id": "1"}},
                {"path": "sub folder/lesson.ipynb", "kernel": {"id": KERNEL}},
            ],
            "/base/api/contents/sub%20folder/lesson.ipynb?type=notebook": {"content": NOTEBOOK},
        }
        known = self.headers["Authorization"] == "token secret" and self.path in answers
        body = json.dumps(answers.get(self.path)).encode()
        self.send_response(200 if known else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Path]:
    """The runtime folder of a Jupyter server on loopback, beside files of servers that are gone."""
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeServer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/base/"
        for name, content in {
            "jpserver-1.json": {"url": "http://127.0.0.1:9/", "token": "x", "pid": 1},
            "jpserver-2.json": {"url": url, "token": "secret", "pid": 2},
            "nbserver-3.json": {"url": "file:///etc/", "pid": 3},
            "jpserver-4.json": [],
        }.items():
            (tmp_path / name).write_text(json.dumps(content))
        (tmp_path / "jpserver-5.json").write_text("not json")
        yield tmp_path
        server.shutdown()
        thread.join()


def shell_of_kernel(number: str) -> SimpleNamespace:
    application = SimpleNamespace(connection_file=f"/run/kernel-{number}.json")
    return SimpleNamespace(user_ns={}, kernel=SimpleNamespace(parent=application))


def test_server_knows_the_notebook_of_a_kernel(runtime: Path) -> None:
    environ = {"JUPYTER_RUNTIME_DIR": str(runtime), "JPY_SESSION_NAME": "gone.ipynb"}
    for parent in ({}, {"JPY_PARENT_PID": "2"}):
        source = find_open_notebook(shell_of_kernel(KERNEL), environ | parent)
        assert (source.file_name, source.is_open) == ("lesson.ipynb", True)
        assert json.loads(source.text) == NOTEBOOK


def test_unknown_notebook_is_an_error(runtime: Path) -> None:
    for shell in (shell_of_kernel("unknown"), SimpleNamespace(user_ns={})):
        with pytest.raises(UsageError, match="cannot find the file") as caught:
            find_open_notebook(shell, {"JUPYTER_RUNTIME_DIR": str(runtime)})
        assert "%colabenv up lesson.ipynb" in caught.value.hint
