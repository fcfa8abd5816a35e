"""A client of a Jupyter server's REST API."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from support.timeouts import TIMEOUT


class Server:
    """A running Jupyter server.

    Args:
        url: its address, such as `http://127.0.0.1:8888`.
        token: its access token.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        # The server is on this machine, so use no proxy.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method: str, path: str, body: object = None, timeout: float = TIMEOUT) -> Any:
        """Call the REST API below `/api/`; returns the decoded answer, or None if it is empty.

        Raises:
            urllib.error.HTTPError: the server returned an error.
        """
        request = urllib.request.Request(  # noqa: S310 - a server of the tests
            f"{self.url}/api/{urllib.parse.quote(path)}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token}", "Content-Type": "application/json"},
            method=method,
        )
        with self._opener.open(request, timeout=timeout) as response:
            answer = response.read()
        return json.loads(answer) if answer else None

    def answers(self) -> bool:
        """Whether the server is up."""
        try:
            self.call("GET", "status", timeout=5)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True
