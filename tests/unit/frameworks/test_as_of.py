"""`as_of` and `like`: which releases existed, which Python is used, and the messages about it."""

from __future__ import annotations

import datetime

import pytest

from colabenv.errors import ProfileError, UnsatisfiableError
from colabenv.frameworks import facts
from colabenv.frameworks.as_of import (
    FRAMEWORKS,
    PYTHON_DAYS,
    PointInTime,
    choose_python,
    explain_new_python,
    load_release_days,
    narrow_specifier,
    require_order,
    require_released,
    restrict_table,
)
from colabenv.frameworks.request import FrameworkRequest
from colabenv.frameworks.requirements import Requirements, derive_requirements
from colabenv.frameworks.runtimes import Runtime, load_runtime
from colabenv.profile.validators import PYTHON_MINORS

SUMMER = load_runtime("colab-2025.07")


def derive(
    time: PointInTime, tensorflow: str | None = None, python: str | None = None, *, default: str = "3.13"
) -> Requirements:
    def apply_rules(request: FrameworkRequest) -> Requirements:
        return derive_requirements(
            request, variant=time.variant, default_python=time.default_python(default), table=time.table()
        )

    return time.requirements(FrameworkRequest(python, tensorflow), apply_rules)


def test_every_release_has_a_date() -> None:
    assert set(load_release_days()) == set(FRAMEWORKS)
    versions = {release.version for release in facts.load_table().releases}
    assert versions <= set(load_release_days()["tensorflow"])
    for releases in load_release_days().values():
        assert all(datetime.date.fromisoformat(day) for day in releases.values())
    # These days are from TensorFlow's release history.
    assert load_release_days()["tensorflow"]["2.4.0"] == "2020-12-14"
    assert load_release_days()["tensorflow"]["2.15.1"] == "2024-03-08"


def test_table_is_restricted_to_releases_up_to_the_day() -> None:
    table = restrict_table(facts.load_table(), "2023-04-02")
    assert table.releases[-1].version == "2.12.0"
    assert "2.12.0" in table.keras
    assert "2.13.1" not in table.keras
    unrestricted = restrict_table(facts.load_table(), "2999-01-01")
    assert (unrestricted.releases, unrestricted.keras) == (
        facts.load_table().releases,
        facts.load_table().keras,
    )


def test_releases_of_the_day_are_included() -> None:
    assert restrict_table(facts.load_table(), "2024-03-08").releases[-1].version == "2.15.1"
    assert restrict_table(facts.load_table(), "2024-03-07").releases[-1].version != "2.15.1"
    require_released("tensorflow", "==2.15.1", "2024-03-08")


@pytest.mark.parametrize(
    ("framework", "specifier", "message", "newest"),
    [
        ("tensorflow", "==2.15.1", "TensorFlow 2.15.1 was released on 2024-03-08", "2.12.0"),
        ("tensorflow", "==2.15.*", "TensorFlow 2.15.0 was released on 2023-11-14", "2.12.0"),
        ("keras", ">=3", "Keras 3.0.0 was released on 2023-11-28", "2.12.0"),
        ("torch", "==2.6.0", "PyTorch 2.6.0 was released on 2025-01-29", "2.0.0"),
    ],
)
def test_later_release_is_refused_with_its_release_day(
    framework: str, specifier: str, message: str, newest: str
) -> None:
    with pytest.raises(UnsatisfiableError) as caught:
        require_released(framework, specifier, "2023-04-02")
    assert caught.value.message == f"{message}, after as_of: 2023-04-02."
    assert f"on that day was {newest}" in caught.value.hint


def test_hint_names_no_release_if_none_existed() -> None:
    with pytest.raises(UnsatisfiableError) as caught:
        require_released("jax", ">0", "2020-01-01")
    assert (
        caught.value.message
        == "JAX 0.4.16, the first with wheels, was released on 2023-09-19, after as_of: 2020-01-01."
    )
    assert caught.value.hint.startswith("Choose an older JAX")


def test_jax_is_built_from_source_before_its_first_wheel() -> None:
    # TensorFlow 2.12 requires JAX.
    assert "jax" in derive(PointInTime("2023-09-18", None, "cpu"), "==2.12.*").from_source
    assert "jax" not in derive(PointInTime("2023-09-19", None, "cpu"), "==2.12.*").from_source
    assert "jax" not in derive(PointInTime("", None, "cpu"), "==2.12.*").from_source


@pytest.mark.parametrize("specifier", ["==2.12.0", ">=2.10", "==2.99.*"])
def test_existing_or_unknown_release_is_not_refused(specifier: str) -> None:
    require_released("tensorflow", specifier, "2023-04-02")


@pytest.mark.parametrize(
    ("as_of", "default", "python"),
    [
        ("2018-07-01", "3.12", "3.7"),
        ("2019-10-14", "3.12", "3.7"),
        ("2020-04-13", "3.12", "3.8"),
        ("2021-06-01", "3.12", "3.9"),
        ("2023-04-02", "3.13", "3.10"),
        ("2023-05-01", "3.13", "3.11"),
        ("2026-01-01", "3.13", "3.13"),
        ("2026-01-01", "3.11", "3.11"),
        ("2026-01-01", "3.9", "3.9"),
    ],
)
def test_python_of_a_date_is_at_least_half_a_year_old(as_of: str, default: str, python: str) -> None:
    assert choose_python(as_of, default) == python
    assert derive(PointInTime(as_of, None, "cpu"), default=default).python == python


def test_python_suits_the_tensorflow_of_the_day() -> None:
    requirements = derive(PointInTime("2023-04-02", None, "cpu"), ">=2.8")
    # TensorFlow 2.12.0 had wheels for Python 3.11, but its dependencies did not yet.
    assert (requirements.python, requirements.lines) == ("3.10", ("tensorflow>=2.8",))
    assert requirements.notes[0] == "Python 3.10: the newest that was at least half a year old on that day."
    assert derive(PointInTime("2023-04-02", None, "cpu"), "==2.5.*").python == "3.9"
    assert derive(PointInTime("2023-04-02", None, "cpu"), "==2.12.*", "3.11").python == "3.11"
    assert requirements.notes[-1] == "Only releases uploaded by the end of 2023-04-02 (UTC) are used."


def test_later_python_is_used_with_a_warning() -> None:
    requirements = derive(PointInTime("2023-04-02", None, "cpu"), None, "3.12.4")
    assert requirements.python == "3.12.4"
    assert "Python 3.12 was released on 2023-10-02, after as_of: 2023-04-02" in requirements.notes[-1]
    assert 'Set python: "3.10"' in requirements.notes[-1]
    assert explain_new_python("3.11", "2023-04-02") == ""


def test_every_supported_python_has_a_date() -> None:
    assert list(PYTHON_DAYS) == [f"3.{minor}" for minor in PYTHON_MINORS]
    assert list(PYTHON_DAYS.values()) == sorted(PYTHON_DAYS.values())


def test_like_selects_python_and_tensorflow_of_the_runtime() -> None:
    requirements = derive(PointInTime("", SUMMER, "cpu"), ">=2.15", default="3.13")
    assert (requirements.python, requirements.lines) == ("3.11", ("tensorflow==2.18.0",))
    assert requirements.notes[-1] == (
        "Python 3.11 and the versions of colab-2025.07, unless the profile requests others."
    )


def test_other_tensorflow_keeps_the_python_of_the_runtime() -> None:
    assert derive(PointInTime("", SUMMER, "cpu"), "==2.15.1").python == "3.11"
    requirements = derive(PointInTime("", SUMMER, "cpu"), "==2.10.*")
    assert (requirements.python, requirements.lines) == ("3.10", ("tensorflow==2.10.*",))
    assert "(which had Python 3.11)" in requirements.notes[-1]


def test_python_of_the_profile_takes_precedence() -> None:
    assert derive(PointInTime("", SUMMER, "cpu"), "==2.18.*", "3.12").python == "3.12"


def test_impossible_python_is_refused_with_like() -> None:
    with pytest.raises(UnsatisfiableError, match=r"no wheels for Python 3\.13"):
        derive(PointInTime("", SUMMER, "cpu"), "==2.15.1", "3.13")


def test_shipped_versions_depend_on_the_variant() -> None:
    runtime = Runtime("colab-x", "3.12", {"torch": "2.6.0"}, {"torch": "2.6.1", "a": "1"})
    assert PointInTime("", runtime, "cpu").shipped == (("torch", "2.6.0"),)
    assert PointInTime("", runtime, "gpu").shipped == (("a", "1"), ("torch", "2.6.1"))
    assert PointInTime("", None, "gpu").shipped == ()
    assert narrow_specifier("torch", "==2.6.*", runtime, "gpu") == "==2.6.1"
    assert narrow_specifier("torch", "<2.6", runtime, "gpu") == "<2.6"
    assert narrow_specifier("jax", ">=0.4", runtime, "gpu") == ">=0.4"


@pytest.mark.parametrize("as_of", ["2025-07-01", "2025-07-31", "2026-01-01"])
def test_as_of_in_or_after_the_month_of_the_runtime_is_accepted(as_of: str) -> None:
    require_order("colab-2025.07", as_of)


def test_runtime_released_after_the_day_is_refused() -> None:
    with pytest.raises(ProfileError, match=r"colab-2025\.07 is newer than as_of: 2025-06-30") as caught:
        derive(PointInTime("2025-06-30", SUMMER, "cpu"))
    assert "Remove like or as_of" in caught.value.hint
