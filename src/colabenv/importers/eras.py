"""When a source was written, from the Python that it names."""

from __future__ import annotations

import datetime
import functools
import importlib.resources
import re
from typing import Final

from packaging.version import Version

from colabenv._compat import tomllib

#: How long people typically go on to use a release of Python after it appeared.
_IN_USE: Final = datetime.timedelta(days=183)


@functools.cache
def load_python_days() -> dict[Version, datetime.date]:
    """The days on which releases of CPython appeared, oldest release first."""
    text = importlib.resources.files(__package__).joinpath("python_releases.toml").read_text(encoding="utf-8")
    days = tomllib.loads(text)["days"]
    return {
        Version(version): datetime.date.fromisoformat(days[version]) for version in sorted(days, key=Version)
    }


def find_typical_day(python: str) -> str:
    """A day on which a release of Python, "3.7.10", was in use; "" for a range or an unknown release.

    For a minor alone, or "3.7.0", which many tools write for any 3.7, it is the end of that minor's time.
    """
    if not re.fullmatch(r"[23]\.[0-9]{1,2}(\.[0-9]{1,3})?", python):
        return ""
    version, days = Version(python), load_python_days()
    minor = version.release[:2]
    if version.micro == 0:
        after_next = next((day for each, day in days.items() if each.release[:2] == (3, minor[1] + 2)), None)
        return (after_next + _IN_USE).isoformat() if after_next and minor[0] == 3 else ""
    line = [day for release, day in days.items() if release.release[:2] == minor and release <= version]
    return (line[-1] + _IN_USE).isoformat() if line else ""


def add_days(day: str, days: int) -> str:
    """The day a number of days later."""
    return (datetime.date.fromisoformat(day) + datetime.timedelta(days=days)).isoformat()
