"""The rules of `as_of` and `like`: a day, and a Colab runtime. Pure: what today is comes as an argument."""

from __future__ import annotations

import datetime
import re
from typing import Final

from colabenv.profile.rules import refuse

#: The Colab runtimes whose package lists colabenv carries, oldest first: the files of `frameworks/colab`.
RUNTIMES: Final = (
    *("colab-2025.07", "colab-2025.10", "colab-2026.01", "colab-2026.04", "colab-2026.07", "colab-2026.08"),
)
#: The day on which Python 3.8 came out (PEP 569), the oldest that a profile can name.
FIRST_DAY: Final = datetime.date(2019, 10, 14)
DAY_PATTERN: Final = r"^20[0-9]{2}-[01][0-9]-[0-3][0-9]$"

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FORM: Final = "Write year-month-day with two digits for month and day, such as as_of: 2023-04-02."


def as_of(text: str) -> str:
    """A day as `2023-04-02`, not before colabenv's oldest Python. Whether it is over, `not_yet` tells."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        raise refuse("this is not a day that colabenv can read", _meant(text))
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        raise refuse("there is no such day in the calendar", _FORM) from None
    if day < FIRST_DAY:
        raise refuse(
            f"this is before {FIRST_DAY}, the day on which Python 3.8 came out, the oldest that colabenv builds",
            f"Packages from before then have hardly any wheels for it. Name a day from {FIRST_DAY} on.",
        )
    return text


def not_yet(day: str, now: datetime.datetime) -> bool:
    """Whether a day has begun nowhere on earth.

    Args:
        day: as `as_of` returns it.
        now: with its time zone.
    """
    # Zones go up to UTC+14; who writes today's date there is right.
    return datetime.date.fromisoformat(day) > (now + datetime.timedelta(hours=14)).date()


def _meant(text: str) -> str:
    """The day that another way of writing most likely means, as a hint."""
    bare = text.strip().lower()[:40]
    if re.fullmatch(r"\d{4}[-/.](1[0-2]|0?[1-9])", bare, re.ASCII):
        year, month = re.split(r"[-/.]", bare)
        return f"A day is missing: write as_of: {year}-{int(month):02d}-01, or the day in that month that you mean."
    found = sorted({str(day) for day in _readings(bare)})
    if not found:
        return _FORM
    return f"Did you mean {' or '.join(found)}? {_FORM}"


def _readings(text: str) -> list[datetime.date]:
    """Every day that a text may mean: the year first, or last with day and month in either order; months by name."""
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
    found = []
    for order in orders:
        try:
            found.append(datetime.date(*order))
        except (ValueError, OverflowError):  # noqa: PERF203 - an order that gives no day is no reading
            continue
    return found


def like(text: str) -> str:
    """The name of a Colab runtime whose package list is carried."""
    if text in RUNTIMES:
        return text
    known = ", ".join(RUNTIMES)
    found = re.search(r"(20\d{2})\D{0,3}(1[0-2]|0?[1-9])(?!\d)", text[:40], re.ASCII)
    if found is None:
        raise refuse("this is no Colab runtime that colabenv knows", f"Write one of: {known}.")
    wanted = _month(found[1], found[2])
    nearest = min(RUNTIMES, key=lambda name: abs(_month(*name.removeprefix("colab-").split(".")) - wanted))
    raise refuse(
        "this is no Colab runtime that colabenv knows", f"Did you mean {nearest}? There are: {known}."
    )


def _month(year: str, month: str) -> int:
    return int(year) * 12 + int(month)
