"""Which store is used, and which URLs open one."""

from __future__ import annotations

from pathlib import Path

import pytest

from colabenv.commands.context import Context
from colabenv.errors import StoreError, UsageError
from colabenv.profile.load import load
from colabenv.profile.model import Profile
from colabenv.store.backends.base import StoreBackend
from colabenv.store.open import choose_store_url, open_store, require_store_url
from colabenv.store.source import open_source

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
def test_the_option_wins_over_the_variable_and_the_profile(
    option: str, variable: str, profile: Profile | None, chosen: str | None
) -> None:
    assert choose_store_url(option, profile, {"COLABENV_STORE": variable}) == chosen


def test_without_a_store_the_hint_names_three_ways() -> None:
    with pytest.raises(UsageError, match="No store is named") as caught:
        require_store_url("", Profile(name="x"), {})
    for way in ("--store URL", "COLABENV_STORE", "`store: URL`"):
        assert way in caught.value.hint
    with pytest.raises(UsageError, match="turned off"):
        require_store_url("none", PROFILE, {})


def test_an_unset_variable_fails_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("name: demo\nstore: ${NOT_SET}/x\n")
    context = Context({"HOME": str(tmp_path), "COLABENV_HOME": str(tmp_path / "home")})
    url = choose_store_url("", load(str(tmp_path / "p.yaml"), context.outside()).profile, context.environ)
    with pytest.raises(UsageError, match="NOT_SET"), open_source(url, context.installer(), context):
        pytest.fail("the store cannot be opened")
    assert not (tmp_path / "home").exists()


def open_invalid(url: str, environ: dict[str, str] | None = None) -> UsageError:
    with pytest.raises(UsageError) as caught:
        open_store(url, environ or {})
    return caught.value


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("/content/store", "/content/store"),
        ("~/store", "/home/me/store"),
        ("~", "/home/me"),
        ("file:///a%20b", "/a b"),
        ("file://localhost/a", "/a"),
        ("/a/${WEEK}/b", "/a/7/b"),
        ("https://host/folder/", "https://host/folder"),
        ("https://me:hunter2@host:8443/folder", "https://host:8443/folder"),
        ("HTTP://[::1]:80/x", "http://[::1]:80/x"),
        ("gs://course/week 7/", "gs://course/week 7"),
        ("gs://course", "gs://course"),
        ("s3://course/a/b", "s3://course/a/b"),
    ],
)
def test_open_store_shows_the_url_without_credentials(url: str, shown: str) -> None:
    store = open_store(url, {"HOME": "/home/me", "WEEK": "7"})
    assert store.url == shown
    assert isinstance(store, StoreBackend)
    assert "hunter2" not in repr(store)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "  ",
        "gopher://host/x",
        "a1://a/b",
        "s3:/bucket",
        "gs:bucket",
        "s3://",
        "gs:///x",
        "s3://a",
        "s3://-x/y",
        "https://",
        "https:///x",
        "http://host:99999/x",
        "http://[::1/x",
        "file://host/x",
        "file:x",
        "~other/x",
        "gs://bucket/../x",
        "s3://bucket/a//b",
        "a\nb",
        "s3://bucket/a\x00b",
        "https://host/x?sig=1",
        "https://h/#x",
    ],
)
def test_invalid_urls_are_refused_with_a_hint(url: str) -> None:
    assert open_invalid(url, {"HOME": "/home/me"}).hint


def test_credentials_in_a_bucket_url_are_not_shown() -> None:
    error = open_invalid("s3://AKIAKEY:hunter2@bucket/x")
    assert "hunter2" not in str(error.as_dict())
    assert "environment" in error.hint


@pytest.mark.parametrize("environ", [{}, {"TOKEN": ""}, {"TOKEN": "hunter2\n"}])
def test_unset_and_empty_variables_are_named(environ: dict[str, str]) -> None:
    error = open_invalid("https://me:${TOKEN}@host/x", environ)
    assert "TOKEN" in error.message
    assert "hunter2" not in str(error.as_dict())
    assert "%env TOKEN=" in error.hint


@pytest.mark.parametrize("scheme", ["gopher", "memory", "hf", "abfs", "sftp"])
def test_an_unknown_scheme_lists_the_known_ones(scheme: str) -> None:
    error = open_invalid(f"{scheme}://host/x")
    assert error.message == f"Invalid store URL: there are no stores at {scheme}:// addresses."
    for known in ("folder", "gs://", "s3://", "https://"):
        assert known in error.hint


def test_a_tilde_needs_home() -> None:
    assert "HOME" in open_invalid("~/x").message


def test_a_missing_google_credentials_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="GOOGLE_APPLICATION_CREDENTIALS") as caught:
        open_store("gs://bucket", {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none")})
    assert caught.value.hint
