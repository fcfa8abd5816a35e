"""From an installer's own words to an error a person can act on. Pure."""

from __future__ import annotations

import re

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

_DISK = re.compile(r"No space left on device|Disk quota exceeded|os error 28\b|Errno 28\b", re.IGNORECASE)
_MISMATCH = re.compile(
    r"Hash mismatch|HashMismatch|do not match the hashes|has the following hash", re.IGNORECASE
)
_CORRUPT = re.compile(
    r"invalid (zip|wheel)|"
    r"Failed to (extract|unzip)|Bad CRC|not a valid zip|corrupt(?! message)|is not a zip file|"
    r"decompress(ion)? (error|failed)",
    re.IGNORECASE,
)
# An archive is unpacked while it comes, so one that was cut off fails to unpack as well.
_CUT = re.compile(
    r"error decoding response body|end of file before message length|IncompleteRead|Connection (reset|broken)|"
    r"incomplete-download|not enough bytes were received",
    re.IGNORECASE,
)
_NETWORK = re.compile(
    r"dns error|error sending request|Connection refused|Connection reset|Could not connect|timed out|"
    r"Name or service not known|Temporary failure in name resolution|Network is unreachable|"
    r"tunnel (error|connection)|unsuccessful tunnel|Max retries exceeded|connection error|incomplete-download|"
    r"not enough bytes were received|"
    r"NewConnectionError|ConnectTimeout|ReadTimeout|ProxyError|Connection aborted|Connection broken|"
    r"error decoding response body|IncompleteRead|certificate verify failed|invalid peer certificate|"
    r"HTTP (status )?(server )?error.*\b5\d\d\b|status code \d{3}|5\d\d (Server|Service|Bad Gateway|Internal)",
    re.IGNORECASE,
)
_CERTIFICATE = re.compile(r"invalid peer certificate|certificate verify failed", re.IGNORECASE)
_DENIED = re.compile(r"\b(401|403)\b.*(Unauthorized|Forbidden)|status code.*\b40[13]\b", re.IGNORECASE)
_UNSATISFIABLE = re.compile(
    r"No solution found|ResolutionImpossible|No matching distribution|no version of|requirements are unsatisfiable|"
    r"has no wheels|not found in the package registry|conflicting dependencies|requires a different Python",
    re.IGNORECASE,
)
# uv says that a package has no wheel; pip only that it knows of no file it may use.
_NO_WHEEL = re.compile(
    r"Wheels are required for `(?P<uv>[^`]+)`|from versions: none\)\s*ERROR: No matching distribution found for "
    r"(?P<pip>[A-Za-z0-9][A-Za-z0-9._-]*)",
    re.IGNORECASE,
)
_GONE = re.compile(r"\b404\b.{0,20}Not Found|HTTP error 404", re.IGNORECASE)
_NOISE = re.compile(
    r"^\s*$|^[⠁-⣿]|^(Using Python|Resolved|Prepared|Installed|Resolving|Downloading|Building|Looking)\b|█|░"
)


def clean_output(text: str) -> str:
    """Terminal output as lines of text: no colours, the last state of each redrawn line."""
    lines = _ANSI.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in lines)


def redact(text: str, secrets: tuple[str, ...] = ()) -> str:
    """`text` without credentials in URLs and without the given secrets."""
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "****")
    return _CREDENTIALS.sub(r"\g<scheme>****@", text)


def extract_error_lines(text: str, limit: int = 20) -> str:
    """The lines of an installer's output that say what went wrong, without progress, at most `limit`."""
    lines = [line for line in clean_output(text).splitlines() if not _NOISE.search(line)]
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        return "\n".join(lines[-limit:])  # Python says what happened in the last line
    start = next(
        (number for number, line in enumerate(lines) if re.match(r"\s*(error|×|ERROR)", line)),
        max(0, len(lines) - limit),
    )
    return "\n".join(lines[start : start + limit])


def classify_error(task: str, output: str, secrets: tuple[str, ...] = ()) -> ColabenvError:
    """The error for a failed installer.

    Args:
        task: what it was doing, such as "installing".
        output: all it wrote.
        secrets: values that must not be shown.
    """
    text = redact(clean_output(output), secrets)
    detail = redact(extract_error_lines(output), secrets)
    if _DISK.search(text):
        return DiskError(
            f"The disk filled up while {task}. What was there before still works.",
            hint="Free some space (colabenv status shows what environments take, colabenv down NAME removes one), "
            "or set COLABENV_HOME to a folder on a larger disk, then run the same command again.",
            detail=detail,
        )
    if _MISMATCH.search(text) or (_CORRUPT.search(text) and not _CUT.search(text)):
        return CorruptError(
            f"A downloaded file was not what the lock says it should be, found while {task}; it was not used.",
            hint="Run the same command again. If it stays so, the index or a proxy serves another file than the one "
            "that was locked: remove the lock to make a new one, and ask whoever runs the index.",
            detail=detail,
        )
    if _DENIED.search(text) or _NETWORK.search(text):
        return _network_error(task, text, detail)
    if _UNSATISFIABLE.search(text):
        return UnsatisfiableError(
            "No set of versions satisfies the profile.",
            hint=_no_wheel_hint(text)
            or "Loosen or change one of the requirements named above, or the profile's python.",
            detail=detail,
        )
    if _GONE.search(text):
        return _network_error(task, text, detail)
    return InstallError(
        f"The installer failed while {task}.",
        hint="Its own words are above; the whole output is in the log.",
        detail=detail,
    )


def _network_error(task: str, text: str, detail: str) -> NetworkError:
    """What about the index went wrong."""
    if _DENIED.search(text):
        return NetworkError(
            f"The package index refused access while {task}.",
            hint="Check the credentials of the profile's indexes: the variables named in their URLs, or the netrc.",
            detail=detail,
        )
    if _CERTIFICATE.search(text):
        return NetworkError(
            f"The package index's certificate was rejected while {task}.",
            hint="If your network or index has its own certificate authority, add that to this system's certificates, "
            "or set SSL_CERT_FILE to its file.",
            detail=detail,
        )
    if _NETWORK.search(text):
        return NetworkError(
            f"The package index could not be reached while {task}.",
            hint="Check the network (in a notebook: !curl -sSI of the index), then run the same command again; what "
            "was downloaded is kept.",
            detail=detail,
        )
    return NetworkError(
        f"The package index no longer has a file it is asked for, found while {task}.",
        hint="Run the same command again; if it stays so, the file was taken down: remove the lock, so that other "
        "versions are chosen.",
        detail=detail,
    )


def _no_wheel_hint(text: str) -> str:
    """What to do where it failed for want of a wheel; "" where it did not."""
    found = _NO_WHEEL.search(text)
    if found is None:
        return ""
    name = found["uv"] or found["pip"]
    return (
        f"There is no wheel of {name} for this Python. If there is its source, source_builds: [{name}] in the profile "
        "allows to build it, which runs code of that package; or name a version or a Python that has a wheel."
    )
