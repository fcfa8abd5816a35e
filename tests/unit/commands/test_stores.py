"""Which store is used: the stronger of three ways to name one."""

from __future__ import annotations

from pathlib import Path

import pytest

from colabenv.commands.stores import chosen_store, required_store
from colabenv.errors import ProfileError, UsageError
from colabenv.profile.model import Profile

PROFILE = Profile(name="x", store="gs://of-the-profile/x")


@pytest.mark.parametrize(
    ("option", "variable", "profile", "chosen"),
    [
        ("", "", None, None),
        ("", "", Profile(name="x"), None),
        ("", "", PROFILE, "gs://of-the-profile/x"),
        ("", "s3://of-the-variable", PROFILE, "s3://of-the-variable"),
        ("/of/the/option", "s3://of-the-variable", PROFILE, "/of/the/option"),
        ("none", "s3://of-the-variable", PROFILE, None),
        ("", "none", PROFILE, None),
        ("", " ", PROFILE, "gs://of-the-profile/x"),
        ("", "", Profile(name="x", store="none"), None),
        ("/store", "none", Profile(name="x", store="none"), "/store"),
    ],
)
def test_the_option_beats_the_variable_and_that_the_profile(
    option: str, variable: str, profile: Profile | None, chosen: str | None
) -> None:
    assert chosen_store(option, profile, {"COLABENV_STORE": variable}) == chosen


def test_a_folder_is_meant_from_here_and_from_home() -> None:
    assert chosen_store("store", None, {}) == str(Path.cwd() / "store")
    assert chosen_store("~/store", None, {}) == str(Path("~/store").expanduser())


def test_the_profiles_variables_are_filled_in() -> None:
    profile = Profile(name="x", store="s3://${BUCKET}/x")
    assert chosen_store("", profile, {"BUCKET": "b"}) == "s3://b/x"
    with pytest.raises(ProfileError, match="BUCKET, which is not set"):
        chosen_store("", profile, {})
    assert chosen_store("none", profile, {}) is None


def test_where_none_is_named_three_ways_are_told() -> None:
    with pytest.raises(UsageError, match="No store is named") as caught:
        required_store("", Profile(name="x"), {})
    for way in ("--store URL", "COLABENV_STORE", "`store: URL`"):
        assert way in caught.value.hint
    with pytest.raises(UsageError, match="turned off"):
        required_store("none", PROFILE, {})
