"""The notebook that is open in the page, as this kernel can read it.

Colab's page sends it to the notebook's own kernel. In Jupyter and VS Code it is the saved file, or what the server has.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from colabenv.errors import UsageError
from colabenv.importers.notebook_source import NotebookSource, local_notebook, read_stored_name

#: Seconds to wait for Colab's page, one try after another: a large notebook takes some.
_PAGE_LIMITS: Final = (5.0, 20.0, 60.0)
_SERVER_LIMIT: Final = 10.0
#: Where a shell remembers the name that Colab's page gave, so that the next `up` need not ask.
_NAME: Final = "_colabenv_notebook_name"


def find_open_notebook(
    shell: Any, environ: Mapping[str, str], ask: Callable[..., Any] | None = None
) -> NotebookSource:
    """The notebook that runs in a shell.

    Args:
        shell: the IPython shell of the notebook's own kernel.
        environ: the kernel's variables.
        ask: `google.colab._message.blocking_request`; by default, that of this kernel, if it has one.

    Raises:
        UsageError: the notebook cannot be found. Reading the returned one may raise it as well.
    """
    ask = ask or _find_colab_request()
    if ask is not None:
        return NotebookSource(getattr(shell, _NAME, ""), lambda: _ask_page(shell, ask), is_open=True)
    # VS Code sets the first, Jupyter Server the second ("get_kernel_env" of its session manager).
    path = getattr(shell, "user_ns", {}).get("__vsc_ipynb_file__") or environ.get("JPY_SESSION_NAME", "")
    if path.lower().endswith(".ipynb") and Path(path).is_file():
        source = local_notebook(path)
        source.is_open = True
        return source
    return _find_on_server(shell, environ)


def _find_colab_request() -> Callable[..., Any] | None:
    """The function of google.colab that asks the page, if this is Colab's kernel."""
    if "google.colab" not in sys.modules:
        return None
    try:
        from google.colab import _message  # noqa: PLC0415 - exists only on Colab
    except ImportError:
        return None
    request: Callable[..., Any] | None = getattr(_message, "blocking_request", None)
    return request


def _ask_page(shell: Any, ask: Callable[..., Any]) -> str:
    """The open notebook from Colab's page, whose `get_ipynb` many public notebooks use."""
    reason = "it did not answer"
    for limit in _PAGE_LIMITS:
        try:
            answer = ask("get_ipynb", request="", timeout_sec=limit)
        except Exception as error:  # noqa: BLE001 - google.colab's own class, for a page that refuses
            reason = str(error) or type(error).__name__
            break
        notebook = answer.get("ipynb") if isinstance(answer, dict) else None
        if isinstance(notebook, dict):
            setattr(shell, _NAME, read_stored_name(notebook))
            return json.dumps(notebook)
    raise UsageError(
        f"Colab's page did not send the notebook ({reason}).",
        hint="Run the cell again, or choose File > Download, upload the file, and run `%colabenv up FILE.ipynb`.",
    )


def _find_on_server(shell: Any, environ: Mapping[str, str]) -> NotebookSource:
    """The notebook of this kernel from the Jupyter server that started it."""
    kernel_id = _read_kernel_id(shell)
    for server in _find_servers(environ) if kernel_id else ():
        try:
            sessions = _call(server, "api/sessions")
            path = next(item["path"] for item in sessions if item["kernel"]["id"] == kernel_id)
        except (OSError, ValueError, KeyError, TypeError, StopIteration):
            continue

        def read(server: dict[str, Any] = server, path: str = path) -> str:
            try:
                return json.dumps(_call(server, f"api/contents/{quote(path)}?type=notebook")["content"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UsageError(
                    f"The Jupyter server did not send {path} ({error}).",
                    hint="Name the file instead: %colabenv up FILE.ipynb",
                ) from error

        return NotebookSource(path.rpartition("/")[2], read, is_open=True)
    raise UsageError(
        "colabenv cannot find the file of this notebook.",
        hint="Name a notebook or a profile: %colabenv up lesson.ipynb",
    )


def _read_kernel_id(shell: Any) -> str:
    """The id that the server knows this kernel by, from its connection file, or ""."""
    application = getattr(getattr(shell, "kernel", None), "parent", None)
    match = re.search(r"kernel-([^/]+)\.json$", str(getattr(application, "connection_file", "")))
    return match[1] if match else ""


def _find_servers(environ: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The running Jupyter servers of this user, as they describe themselves; this kernel's parent is first."""
    from jupyter_core.paths import jupyter_runtime_dir  # noqa: PLC0415 - seldom needed

    folder = Path(environ.get("JUPYTER_RUNTIME_DIR") or jupyter_runtime_dir())
    servers = []
    for file in [*folder.glob("jpserver-*.json"), *folder.glob("nbserver-*.json")]:
        try:
            server = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(server, dict) and str(server.get("url", "")).startswith(("http://", "https://")):
            servers.append(server)
    parent = environ.get("JPY_PARENT_PID", "")
    yield from sorted(servers, key=lambda server: str(server.get("pid")) != parent)


def _call(server: Mapping[str, Any], path: str) -> Any:
    """GET a path of a server's API; raises OSError or ValueError."""
    headers = {"Authorization": f"token {server['token']}"} if server.get("token") else {}
    request = urllib.request.Request(f"{server['url'].rstrip('/')}/{path}", headers=headers)  # noqa: S310 - http(s)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the server is this machine's own
    with direct.open(request, timeout=_SERVER_LIMIT) as response:
        return json.load(response)
