"""Explains why no versions satisfy a profile with `as_of`. Pure."""

from __future__ import annotations

import re

from colabenv.errors import UnsatisfiableError

# A hint of uv 0.13. The excerpt that errors show may not contain it.
_FILTERED = re.compile(
    r"`(?P<name>[^`]+)` was filtered by `exclude-newer`.*?"
    r"(?P<kind>requested|latest) version[^,.]*?,? (is )?v(?P<version>[0-9][^\s,]*?),?"
    r"( (was )?published at (?P<day>\d{4}-\d\d-\d\d)\S*)?\. Consider"
)


_WITHOUT_WHEELS = re.compile(r"Wheels are required for `([^`]+)`")


def find_without_wheels(output: str) -> tuple[str, ...]:
    """The distributions of which the resolver found only source files, from its full output."""
    return tuple(dict.fromkeys(_WITHOUT_WHEELS.findall(" ".join(output.split()))))


def find_too_new(output: str) -> tuple[str, ...]:
    """The distribution of which only later releases satisfy the requirements, from the resolver's full output."""
    match = _FILTERED.search(" ".join(output.split()))
    return (match["name"],) if match and match["kind"] == "latest" else ()


def explain_as_of(error: UnsatisfiableError, output: str, as_of: str) -> UnsatisfiableError:
    """The resolver's error with a message and a hint about the profile's date, if its full `output` has a reason."""
    text = " ".join(output.split())
    match = _FILTERED.search(text)
    if match is None:
        message = error.message
        hint = f"{error.hint} as_of: {as_of} excludes later uploads; a later date may help."
    elif match["day"] is None:
        message = f"The index of {match['name']} does not report upload times (PEP 700), which as_of: {as_of} needs."
        hint = f"Remove as_of and set the version of {match['name']}, or use an index that reports them."
    else:
        name, version, day = match["name"], match["version"], match["day"]
        if match["kind"] == "requested":
            message = f"{name} {version} came out on {day}, after as_of: {as_of}."
            hint = (
                f"Choose an older version of {name}, remove its version to get the newest of that date, or set as_of "
                f"to {day}."
            )
        elif f"Wheels are required for `{name}`" in text:
            message = f"As of {as_of}, {name} had no wheel for this Python."
            hint = (
                f"Choose an older Python, or set as_of to {day}, when {name} {version} came out. Or add "
                f"source_builds: [{name}] to the profile to build it from source, which runs the package's code."
            )
        else:
            message = f"As of {as_of}, no version of {name} satisfied the requirements."
            hint = (
                f"Relax or change the requirements on {name}, or set as_of to {day}, when {version} came out, which "
                "satisfies them."
            )
    detail = "\n".join(line for line in error.detail.splitlines() if "exclude-newer" not in line).rstrip()
    explained = UnsatisfiableError(message, hint=hint, detail=detail)
    explained.source_only = error.source_only
    return explained
