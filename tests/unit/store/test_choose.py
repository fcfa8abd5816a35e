"""Which store is used: the stronger of three ways to name one."""

from __future__ import annotations

from pathlib import Path

import pytest

from colabenv.commands.context import Context
from colabenv.errors import UsageError
from colabenv.profile.load import load
from colabenv.profile.model import Profile
from colabenv.store import restore_source
from colabenv.store.choose import chosen_store, required_store

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


def test_where_none_is_named_three_ways_are_told() -> None:
    with pytest.raises(UsageError, match="No store is named") as caught:
        required_store("", Profile(name="x"), {})
    for way in ("--store URL", "COLABENV_STORE", "`store: URL`"):
        assert way in caught.value.hint
    with pytest.raises(UsageError, match="turned off"):
        required_store("none", PROFILE, {})


def test_a_variable_that_is_not_set_is_said_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("name: demo\nstore: ${NOT_SET}/x\n")
    context = Context({"HOME": str(tmp_path), "COLABENV_HOME": str(tmp_path / "home")})
    loaded = load(str(tmp_path / "p.yaml"), context.outside())
    with pytest.raises(UsageError, match="NOT_SET"), restore_source.open_session("", loaded, context):
        pytest.fail("the store cannot be opened")
    assert not (tmp_path / "home").exists()
