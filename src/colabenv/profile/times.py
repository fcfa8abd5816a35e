"""Validate the values of `as_of` and `like`: a day, and a Colab runtime."""

from __future__ import annotations

import contextlib
import datetime
import re
from typing import Final

from colabenv.profile.validators import invalid_value

#: The Colab runtimes whose package lists are in `frameworks/colab`, oldest first.
RUNTIMES: Final = (
    *("colab-2025.07", "colab-2025.10", "colab-2026.01", "colab-2026.04", "colab-2026.07", "colab-2026.08"),
)
#: Release day of Python 3.7 (PEP 537), the oldest that a profile can request.
FIRST_DAY: Final = datetime.date(2018, 6, 27)
DAY_PATTERN: Final = r"^20[0-9]{2}-[01][0-9]-[0-3][0-9]$"

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FORM: Final = "Write the date as YYYY-MM-DD, such as as_of: 2023-04-02."


def validate_day(text: str) -> str:
    """Check a day such as `2023-04-02`, not before colabenv's oldest Python; it may be in the future."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        raise invalid_value("invalid date {value}", _suggest_day(text))
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        raise invalid_value("{value} is not a calendar date", _FORM) from None
    if day < FIRST_DAY:
        raise invalid_value(
            f"{{value}} is before {FIRST_DAY}, the release of Python 3.7, the oldest version that colabenv builds",
            f"Use {FIRST_DAY} or later: earlier packages have hardly any wheels for Python 3.7.",
        )
    return text


def is_future(day: str, now: datetime.datetime) -> bool:
    """Whether a validated day has not begun in any time zone; `now` has its time zone."""
    # Time zones go up to UTC+14.
    return datetime.date.fromisoformat(day) > (now + datetime.timedelta(hours=14)).date()


def _suggest_day(text: str) -> str:
    """The hint for a day in another format."""
    bare = text.strip().lower()[:40]
    if re.fullmatch(r"\d{4}[-/.](1[0-2]|0?[1-9])", bare, re.ASCII):
        year, month = re.split(r"[-/.]", bare)
        return f"Add the day, such as as_of: {year}-{int(month):02d}-01."
    days = sorted({str(day) for day in _possible_days(bare)})
    return f"Did you mean {' or '.join(days)}? {_FORM}" if days else _FORM


def _possible_days(text: str) -> list[datetime.date]:
    """Every day that a text may mean: year first or last, day and month in either order, months by name."""
    named = next((number for number, month in enumerate(_MONTHS, 1) if month in text), 0)
    numbers = [int(part) for part in re.findall(r"\d+", text)[:3]]
    if len(numbers) == 1 and re.match(r"\d{8}\b", text):
        numbers = [numbers[0] // 10000, numbers[0] // 100 % 100, numbers[0] % 100]
    if named and len(numbers) == 2:
        year, day = sorted(numbers, reverse=True)
        orders = [(year, named, day)]
    elif len(numbers) == 3 and numbers[0] > 1000:
        orders = [(numbers[0], numbers[1], numbers[2])]
    elif len(numbers) == 3 and numbers[2] > 1000:
        orders = [(numbers[2], numbers[0], numbers[1]), (numbers[2], numbers[1], numbers[0])]
    else:
        orders = []
    days = []
    for order in orders:
        with contextlib.suppress(ValueError, OverflowError):
            days.append(datetime.date(*order))
    return days


def validate_runtime(text: str) -> str:
    """Check the name of a Colab runtime whose package list is known."""
    if text in RUNTIMES:
        return text
    hint = f"Known runtimes: {', '.join(RUNTIMES)}."
    match = re.search(r"(20\d{2})\D{0,3}(1[0-2]|0?[1-9])(?!\d)", text[:40], re.ASCII)
    if match:
        target = _count_months(match[1], match[2])
        nearest = min(
            RUNTIMES, key=lambda name: abs(_count_months(*name.removeprefix("colab-").split(".")) - target)
        )
        hint = f"Did you mean {nearest}? {hint}"
    raise invalid_value("unknown Colab runtime {value}", hint)


def _count_months(year: str, month: str) -> int:
    return int(year) * 12 + int(month)
