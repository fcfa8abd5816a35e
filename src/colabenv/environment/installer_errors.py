"""Turns an installer's output into an error with a hint. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from colabenv.errors import (
    ColabenvError,
    CorruptError,
    DiskError,
    InstallError,
    NetworkError,
    UnsatisfiableError,
)

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")
_CREDENTIALS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s]*@")
_NOISE = re.compile(
    r"^\s*$|^[⠁-⣿]|^(Using Python|Resolved|Prepared|Installed|Resolving|Downloading|Building|Looking)\b|█|░"
)
# uv reports that a package has no wheel; pip only that there is no file it may use.
_NO_WHEEL = re.compile(
    r"Wheels are required for `(?P<uv>[^`]+)`|from versions: none\)\s*ERROR: No matching distribution found for "
    r"(?P<pip>[A-Za-z0-9][A-Za-z0-9._-]*)",
    re.IGNORECASE,
)


class _Rule(NamedTuple):
    """The error for output that matches `pattern`; its message names the `{task}`."""

    pattern: str
    error: type[ColabenvError]
    message: str
    hint: str


_CORRUPT = (
    CorruptError,
    "While {task}, a downloaded file did not match the lock, so it was not used.",
    "Run the same command again. If that does not help, the index or a proxy serves a file that differs from the "
    "locked one: delete the lock to create a new one, and report it to the index.",
)
_UNREACHABLE = (
    NetworkError,
    "The package index could not be reached while {task}.",
    "Check the network (in a notebook: !curl -sSI URL), then run the same command again; finished downloads are kept.",
)
#: The first that matches decides.
_RULES = (
    _Rule(
        r"No space left on device|Disk quota exceeded|os error 28\b|Errno 28\b",
        DiskError,
        "The disk filled up while {task}. Existing environments still work.",
        "Free disk space (colabenv status lists environments, colabenv down NAME removes one) or set COLABENV_HOME to "
        "a folder on a larger disk, then run the same command again.",
    ),
    _Rule(
        r"Network connectivity is disabled|network was disabled|because the network is disabled",
        NetworkError,
        "uv is offline, and its cache does not have everything for {task}.",
        "Unset UV_OFFLINE, or remove offline from uv.toml.",
    ),
    _Rule(r"Hash mismatch|HashMismatch|do not match the hashes|has the following hash", *_CORRUPT),
    # An archive is unpacked while it is downloaded, so a connection that broke looks like a damaged archive as well.
    _Rule(
        r"error decoding response body|end of file before message length|IncompleteRead|Connection (reset|broken)|"
        r"incomplete-download|not enough bytes were received",
        *_UNREACHABLE,
    ),
    _Rule(
        r"invalid (zip|wheel)|Failed to (extract|unzip)|Bad CRC|not a valid zip|corrupt(?! message)|is not a zip file|"
        r"decompress(ion)? (error|failed)",
        *_CORRUPT,
    ),
    _Rule(
        r"\b(401|403)\b.*(Unauthorized|Forbidden)|status code.*\b40[13]\b",
        NetworkError,
        "The package index refused access while {task}.",
        "Check the credentials of the profile's indexes: the variables in their URLs, or netrc.",
    ),
    _Rule(
        r"invalid peer certificate|certificate verify failed",
        NetworkError,
        "The package index's certificate was rejected while {task}.",
        "If your network or index has its own certificate authority, add that to this system's certificates, or set "
        "SSL_CERT_FILE to its file.",
    ),
    _Rule(
        r"dns error|error sending request|Connection refused|Could not connect|timed out|"
        r"Name or service not known|Temporary failure in name resolution|Network is unreachable|"
        r"tunnel (error|connection)|unsuccessful tunnel|Max retries exceeded|connection error|"
        r"NewConnectionError|ConnectTimeout|ReadTimeout|ProxyError|Connection aborted|"
        r"HTTP (status )?(server )?error.*\b5\d\d\b|status code \d{3}|5\d\d (Server|Service|Bad Gateway|Internal)",
        *_UNREACHABLE,
    ),
    _Rule(
        r"No solution found|ResolutionImpossible|No matching distribution|no version of|"
        r"requirements are unsatisfiable|has no wheels|not found in the package registry|conflicting dependencies|"
        r"requires a different Python",
        UnsatisfiableError,
        "No versions satisfy the profile.",
        "Relax or change one of the requirements above, or the profile's python.",
    ),
    _Rule(
        r"\b404\b.{0,20}Not Found|HTTP error 404",
        NetworkError,
        "While {task}, the package index no longer had a locked file.",
        "Run the same command again. If that does not help, the file was removed: delete the lock to choose other "
        "versions.",
    ),
)
_OTHER = _Rule(
    "", InstallError, "The installer failed while {task}.", "Its error is above; the log has its full output."
)


def clean_output(text: str) -> str:
    """Terminal output as lines of text: no colours, and only the last state of each redrawn line."""
    lines = _ANSI.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in lines)


def redact(text: str, secrets: tuple[str, ...] = ()) -> str:
    """`text` without the credentials of URLs and without the given secrets."""
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "****")
    return _CREDENTIALS.sub(r"\g<scheme>****@", text)


def extract_error_lines(text: str, limit: int = 20) -> str:
    """The lines of an installer's output that explain the failure, without progress, at most `limit`."""
    lines = [line for line in clean_output(text).splitlines() if not _NOISE.search(line)]
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        return "\n".join(lines[-limit:])  # the last line of a traceback has the reason
    starts = (number for number, line in enumerate(lines) if re.match(r"\s*(error|×|ERROR)", line))
    start = next(starts, max(0, len(lines) - limit))
    return "\n".join(lines[start : start + limit])


def classify_error(task: str, output: str, secrets: tuple[str, ...] = ()) -> ColabenvError:
    """The error for an installer that failed at a `task`, such as "installing"; `secrets` must not be shown."""
    text = redact(clean_output(output), secrets)
    rule = next((rule for rule in _RULES if re.search(rule.pattern, text, re.IGNORECASE)), _OTHER)
    detail = redact(extract_error_lines(output), secrets)
    error = rule.error(rule.message.format(task=task), hint=rule.hint, detail=detail)
    missing = _NO_WHEEL.search(text)
    if isinstance(error, UnsatisfiableError) and missing is not None:
        error.source_only = name = missing["uv"] or missing["pip"]
        error.hint = (
            f"{name} has no wheel for this Python. Choose a version or a Python that has one, or add source_builds: "
            f"[{name}] to the profile to build it from source, which runs the package's code."
        )
    return error
