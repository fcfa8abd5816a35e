"""`as_of` and `like`: valid dates and Colab runtimes, and hints for invalid ones."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic_core import PydanticCustomError

from colabenv.errors import ProfileError
from colabenv.profile import times
from colabenv.profile.load import load

NOON = datetime.datetime(2026, 11, 22, 12, 0, tzinfo=datetime.timezone.utc)


def validation_error(validate: Callable[[str], str], text: str) -> tuple[str, str]:
    """Message and hint of the error for an invalid value."""
    try:
        validate(text)
    except PydanticCustomError as error:
        assert error.context is not None
        return error.context["problem"], error.context["hint"]
    pytest.fail(f"{text!r} is not refused")


def test_valid_dates() -> None:
    for text in ("2018-06-27", "2023-04-02", "2024-02-29"):
        assert times.validate_day(text) == text


def test_date_in_another_format_suggests_the_right_one() -> None:
    for text, expected in (
        ("2023/04/02", "Did you mean 2023-04-02? "),
        ("2023.4.2", "Did you mean 2023-04-02? "),
        ("2023-4-2", "Did you mean 2023-04-02? "),
        ("20230402", "Did you mean 2023-04-02? "),
        ("2023-04-02T10:00:00Z", "Did you mean 2023-04-02? "),
        ("02.04.2023", "Did you mean 2023-02-04 or 2023-04-02? "),
        ("04/25/2023", "Did you mean 2023-04-25? "),
        ("2 April 2023", "Did you mean 2023-04-02? "),
        ("April 2, 2023", "Did you mean 2023-04-02? "),
        ("2023-04", "Add the day, such as as_of: 2023-04-01"),
        ("2023", "Write the date as YYYY-MM-DD"),
        ("yesterday", "Write the date as YYYY-MM-DD"),
        ("99/99/2023", "Write the date as YYYY-MM-DD"),
        ("99999999999999999999/01/01", "Write the date as YYYY-MM-DD"),
        ("２０２３-04-02", "Did you mean 2023-04-02? "),
        ("1" * 5000, "Write the date as YYYY-MM-DD"),
        ("", "Write the date as YYYY-MM-DD"),
    ):
        problem, hint = validation_error(times.validate_day, text)
        assert problem == "invalid date {value}", text
        assert hint.startswith(expected), text


def test_date_that_does_not_exist_is_refused() -> None:
    for text in ("2023-02-30", "2023-13-01", "2023-00-10", "0000-01-01"):
        assert validation_error(times.validate_day, text)[0] == "{value} is not a calendar date", text


def test_date_before_python_3_7_is_refused() -> None:
    problem, hint = validation_error(times.validate_day, "2018-06-26")
    assert "before 2018-06-27" in problem
    assert "Python 3.7" in problem
    assert "2018-06-27" in hint


def test_date_is_in_the_future_until_it_begins_in_some_time_zone() -> None:
    assert not times.is_future("2026-11-22", NOON)
    assert not times.is_future("2026-11-23", NOON)  # it is 02:00 in Kiritimati
    assert times.is_future("2026-11-24", NOON)
    assert times.is_future("2026-11-23", NOON.replace(hour=9))


def test_valid_runtimes() -> None:
    assert [times.validate_runtime(name) for name in times.RUNTIMES] == list(times.RUNTIMES)


def test_unknown_runtime_suggests_the_closest() -> None:
    for text, closest in (
        ("colab-2025.08", "colab-2025.07"),
        ("colab-2025.7", "colab-2025.07"),
        ("2025.10", "colab-2025.10"),
        ("Colab 2026-04", "colab-2026.04"),
        ("colab-2019.01", "colab-2025.07"),
        ("colab-2031.12", "colab-2026.08"),
        ("202601", "colab-2026.01"),
    ):
        problem, hint = validation_error(times.validate_runtime, text)
        assert problem == "unknown Colab runtime {value}", text
        assert hint.startswith(f"Did you mean {closest}? "), text
        assert all(name in hint for name in times.RUNTIMES), text


def test_unknown_runtime_without_a_month_lists_all() -> None:
    expected = f"Known runtimes: {', '.join(times.RUNTIMES)}."
    for text in ("colab", "latest", "colab-2025.13", ""):
        assert validation_error(times.validate_runtime, text)[1] == expected, text


def test_future_as_of_is_refused_with_its_location(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("name: x\nas_of: 2026-11-24\n")
    with pytest.raises(ProfileError, match="in the future; this machine's clock says 2026-11-22") as caught:
        load(path, now=NOON)
    assert (caught.value.line, caught.value.value) == (2, "2026-11-24")
    assert "past date" in caught.value.hint
    assert load(path, now=NOON + datetime.timedelta(days=2)).profile.as_of == "2026-11-24"


def test_invalid_as_of_has_a_location(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("name: x\nas_of: 2023/04/02\nlike: colab-2025.8\n")
    with pytest.raises(ProfileError, match="as_of: invalid date '2023/04/02'") as caught:
        load(path)
    assert (caught.value.line, caught.value.column) == (2, 8)
    assert "colab-2025.07" in caught.value.detail


def test_as_of_and_like_are_inherited_or_overridden(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("as_of: 2023-04-02\nlike: colab-2025.07\n")
    path = tmp_path / "p.yaml"
    path.write_text("name: x\nextends: [base.yaml]\nas_of: 2025-08-01\n")
    profile = load(path).profile
    assert (profile.as_of, profile.like) == ("2025-08-01", "colab-2025.07")
