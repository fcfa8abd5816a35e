"""A store on a web server, read-only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from colabenv.errors import StoreError, UsageError
from colabenv.store import errors
from colabenv.store.backends.base import StoredObject
from colabenv.store.http_client import HttpClient, netrc_login, range_header, read_body
from colabenv.store.object_names import check_object_name
from colabenv.system.certificates import SystemCertificates

_LOGIN_HINT = (
    "Put the user and the password into the URL as variables, https://${STORE_USER}:${STORE_PASSWORD}@HOST/FOLDER, "
    "and set those variables; or use netrc."
)


class HttpBackend:
    """The `StoreBackend` of a web server, which cannot list or write; raises `UsageError` if the URL is invalid."""

    writable = False

    def __init__(
        self, url: str, environ: Mapping[str, str], certificates: SystemCertificates | None = None
    ) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host:
            raise UsageError("Invalid store URL: it names no server.", hint=errors.URL_HINT)
        if parts.query or parts.fragment:
            raise UsageError(
                "Invalid store URL: it contains ? or #.",
                hint="Write only the address of the folder; a password goes before the host, as a variable.",
            )
        place = f"[{host}]" if ":" in host else host
        place += f":{port}" if port else ""
        self.url = urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", ""))
        login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._client = HttpClient(self.url, environ, certificates, auth=login or netrc_login(host, environ))

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """See `StoreBackend.read`."""
        task = f"read {name} from"
        url = f"{self.url}/{quote(check_object_name(name))}"
        with self._client.request("GET", url, task, headers=range_header(start, length)) as response:
            if response.status_code in {401, 403, 407}:
                raise errors.access_denied(task, self.url, _LOGIN_HINT)
            return read_body(response, start, length, task, self.url)

    def write(self, name: str, data: bytes) -> None:  # noqa: ARG002 - of the protocol
        """A web server is read-only."""
        raise self._unsupported("is read-only")

    def upload(self, name: str, path: Path) -> None:  # noqa: ARG002 - of the protocol
        """A web server is read-only."""
        raise self._unsupported("is read-only")

    def entries(self, prefix: str = "") -> list[StoredObject]:  # noqa: ARG002 - of the protocol
        """A web server cannot list."""
        raise self._unsupported("cannot list objects")

    def delete(self, name: str) -> None:  # noqa: ARG002 - of the protocol
        """A web server is read-only."""
        raise self._unsupported("is read-only")

    def _unsupported(self, problem: str) -> StoreError:
        return StoreError(
            f"The store {self.url} is a web server, which {problem}.",
            hint="Use the URL of the folder or bucket that it serves.",
        )
