"""What to say where nothing fits because of the day that a profile names. Pure."""

from __future__ import annotations

import re

from colabenv.errors import UnsatisfiableError

# uv's hint (0.13), which its other output may have pushed out of the excerpt that people see.
_FILTERED = re.compile(
    r"`(?P<name>[^`]+)` was filtered by `exclude-newer`.*?"
    r"(?P<exact>requested|latest) version[^,.]*?,? (is )?v(?P<version>[0-9][^\s,]*?),?"
    r"( (was )?published at (?P<day>\d{4}-\d\d-\d\d)\S*)?\. Consider",
    re.DOTALL,
)


def explain_as_of(error: UnsatisfiableError, output: str, as_of: str) -> UnsatisfiableError:
    """The error with what the day has to do with it.

    Args:
        error: what was made of the resolver's output.
        output: all it wrote.
        as_of: the profile's day.
    """
    found = _FILTERED.search(" ".join(output.split()))
    detail = "\n".join(line for line in error.detail.splitlines() if "exclude-newer" not in line).rstrip()
    if found is None:
        hint = (
            f"{error.hint} Only what was uploaded by as_of: {as_of} counts; a later day may have what fits."
        )
        return UnsatisfiableError(error.message, hint=hint, detail=detail)
    name, version, day = found["name"], found["version"], found["day"]
    if day is None:
        return UnsatisfiableError(
            f"An index tells no upload times for {name}, so nothing of it can be had as of a day (as_of: {as_of}).",
            hint=f"Take as_of out and name the version of {name}, or ask whoever runs the index for upload times "
            "(PEP 700).",
            detail=detail,
        )
    if found["exact"] == "requested":
        return UnsatisfiableError(
            f"{name} {version} came out on {day}, after as_of: {as_of}.",
            hint=f"Name an older version of {name}, or none, to have the newest of that day; or set as_of to {day} or "
            "later.",
            detail=detail,
        )
    if f"Wheels are required for `{name}`" in " ".join(output.split()):
        return UnsatisfiableError(
            f"On {as_of}, the day that as_of names, {name} was there as source only, or had no wheel for this Python.",
            hint=f"Name an older Python, or source_builds: [{name}] in the profile, which allows to build it and runs "
            f"code of that package; or set as_of to a later day: {version} came out on {day}.",
            detail=detail,
        )
    return UnsatisfiableError(
        f"Nothing of {name} that fits was there on {as_of}, the day that as_of names.",
        hint=f"Loosen or change what asks for {name}, or set as_of to a later day; the newest that fits, {version}, "
        f"came out on {day}.",
        detail=detail,
    )
