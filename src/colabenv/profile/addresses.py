"""Addresses of profiles and notebooks, as users paste them, and the files that they stand for."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from colabenv.errors import NetworkError, UsageError

RAW_GITHUB: Final = "https://raw.githubusercontent.com"
_SCHEMES: Final = ("gh:", "https://", "http://")
_GITHUB: Final = re.compile(r"gh:([\w.-]+)/([\w.-]+)/([^@\s]+)(?:@([^@\s]+))?", re.ASCII)
_GITHUB_FORM: Final = "Write gh:owner/repo/path, gh:owner/repo/path@ref, or the address of the file's page."
#: Pages that show a file of a GitHub repository, and the start of the file's path on them.
_GITHUB_PAGES: Final = {
    "github.com": "",
    "colab.research.google.com": "github/",
    "nbviewer.org": "github/",
    "nbviewer.jupyter.org": "github/",
    "githubtocolab.com": "",
}
_FILE_PAGE: Final = re.compile(r"([\w.-]+)/([\w.-]+)/(?:blob|raw|blame|edit)/(.+)", re.ASCII)
_GIST_PAGE: Final = re.compile(
    r"(?:([\w-]+)/)?([0-9a-f]{20,})(?:/[0-9a-f]{40})?(?:/([^/]+\.ipynb))?/?", re.ASCII
)


@dataclass(frozen=True)
class Address:
    """A file on the web."""

    url: str  #: where it is downloaded, an http or https URL without a fragment
    digest: str  #: the SHA-256 that it must have, in hex, or "" for any content

    @property
    def file_name(self) -> str:
        """The last part of its path, without percent encoding; "" if there is none."""
        return unquote(urlsplit(self.url).path).rpartition("/")[2]

    def pin(self, digest: str) -> str:
        """The reference to exactly the content with this SHA-256."""
        return f"{self.url}#sha256={digest}"


def is_address(reference: str) -> bool:
    """Whether a reference is an address, and not a path or `builtin:NAME`."""
    return reference.startswith(_SCHEMES)


def parse_address(reference: str) -> Address:
    """The file that an address stands for: a URL, `gh:owner/repo/path@ref`, or a page of GitHub, Colab or a gist.

    A branch, tag or commit is taken from the address; without one, GitHub's `HEAD` is the default branch. `#sha256=`
    pins the content, and other fragments are ignored.

    Raises:
        UsageError: it has no file that can be downloaded.
    """
    location, _, fragment = reference.partition("#")
    digest = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else ""
    if fragment.startswith("sha256=") and not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise UsageError(f"{location} has an invalid #sha256=.", hint="A SHA-256 has 64 hexadecimal digits.")
    if location.startswith("gh:"):
        return Address(_github_url(location), digest)
    return Address(_page_url(location, fragment), digest)


def require_digest(address: Address, data: bytes) -> str:
    """The SHA-256 of what an address contains; raises NetworkError if the address pins another one."""
    digest = hashlib.sha256(data).hexdigest()
    if address.digest not in ("", digest):
        raise NetworkError(
            f"The SHA-256 of {address.url} does not match.",
            hint=f"If you know and trust the change, write #sha256={digest}",
        )
    return digest


def _github_url(reference: str) -> str:
    match = _GITHUB.fullmatch(reference)
    if match is None or ".." in match[3].split("/"):
        raise UsageError(f"Invalid GitHub reference: {reference}", hint=_GITHUB_FORM)
    owner, repository, path, ref = match.groups()
    return f"{RAW_GITHUB}/{owner}/{repository}/{ref or 'HEAD'}/{quote(path, safe='/%')}"


def _page_url(location: str, fragment: str) -> str:
    """The file that a URL leads to: the URL itself, unless it is a page that shows a file."""
    try:
        parts = urlsplit(location)
        host = (parts.hostname or "").removeprefix("www.") if parts.port != 0 else ""
    except ValueError:  # brackets or a port that is not a number
        host = ""
    if not host or not location.isprintable() or " " in location:
        raise UsageError(f"Invalid address: {location!r}", hint="Copy it again from the browser.")
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "The address contains a user name or a password.",
            hint="Download the file yourself, and use its path.",
        )
    path = parts.path.lstrip("/")
    if host in ("gist.github.com", "colab.research.google.com") and (
        gist := _GIST_PAGE.fullmatch(path.removeprefix("gist/"))
    ):
        return _gist_url(location, gist, fragment)
    if host in _GITHUB_PAGES and path.startswith(_GITHUB_PAGES[host]):
        if match := _FILE_PAGE.fullmatch(path.removeprefix(_GITHUB_PAGES[host])):
            return f"{RAW_GITHUB}/{match[1]}/{match[2]}/{match[3]}"
        if host == "github.com" and "/releases/download/" not in path:
            raise UsageError(f"{location} is not the page of a file.", hint=_GITHUB_FORM)
    if host in ("colab.research.google.com", "drive.google.com", "colab.google"):
        raise UsageError(
            f"{location} can be read only in your own browser.",
            hint="In that notebook, run `%load_ext colabenv` and `%colabenv up`; or choose File > Download, and use "
            "the path of the file.",
        )
    return location


def _gist_url(location: str, gist: re.Match[str], fragment: str) -> str:
    """The raw file of a gist; without a name, GitHub's `raw` is its first file."""
    user, number, name = gist.groups()
    if fragment.startswith("file-"):
        raise UsageError(
            f"{location}#{fragment} does not say the file's exact name.",
            hint="Open its Raw button, and use the address of that page.",
        )
    if user is None:
        return f"https://gist.github.com/{number}/raw"
    return f"https://gist.githubusercontent.com/{user}/{number}/raw" + (f"/{name}" if name else "")
