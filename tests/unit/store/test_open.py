"""Which store is used, and which URLs are valid."""

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

PROFILE = Profile(name="x", store="gs://profile/x")
WITHOUT_STORE = Profile(name="x")
STORE_NONE = Profile(name="x", store="none")


@pytest.mark.parametrize(
    ("option", "variable", "profile", "expected"),
    [
        ("", "", None, None),
        ("", "", WITHOUT_STORE, None),
        ("", "", PROFILE, "gs://profile/x"),
        ("", "s3://variable", PROFILE, "s3://variable"),
        ("/option", "s3://variable", PROFILE, "/option"),
        ("none", "s3://variable", PROFILE, None),
        ("", "none", PROFILE, None),
        ("", " ", PROFILE, "gs://profile/x"),
        ("", "", STORE_NONE, None),
        ("/option", "none", STORE_NONE, "/option"),
    ],
)
def test_option_overrides_variable_and_profile(
    option: str, variable: str, profile: Profile | None, expected: str | None
) -> None:
    assert choose_store_url(option, profile, {"COLABENV_STORE": variable}) == expected


def test_missing_store_hints_at_option_variable_and_profile() -> None:
    with pytest.raises(UsageError, match="No store is named") as caught:
        require_store_url("", WITHOUT_STORE, {})
    for source in ("--store URL", "COLABENV_STORE", "`store: URL`"):
        assert source in caught.value.hint
    with pytest.raises(UsageError, match="turned off"):
        require_store_url("none", PROFILE, {})


def test_unset_variable_fails_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("name: demo\nstore: ${NOT_SET}/x\n")
    context = Context({"HOME": str(tmp_path), "COLABENV_HOME": str(tmp_path / "home")})
    url = choose_store_url(
        "", load(str(tmp_path / "p.yaml"), context.profile_sources()).profile, context.environ
    )
    with pytest.raises(UsageError, match="NOT_SET"), open_source(url, context.installer(), context):
        pytest.fail("the store cannot be opened")
    assert not (tmp_path / "home").exists()


def open_error(url: str, environ: dict[str, str] | None = None) -> UsageError:
    """The error for an invalid store URL."""
    try:
        open_store(url, environ or {})
    except UsageError as error:
        return error
    pytest.fail(f"{url!r} is not refused")


def test_url_of_an_open_store_has_no_credentials() -> None:
    urls = {
        "/content/store": "/content/store",
        "~/store": "/home/me/store",
        "~": "/home/me",
        "file:///a%20b": "/a b",
        "file://localhost/a": "/a",
        "/a/${WEEK}/b": "/a/7/b",
        "https://host/folder/": "https://host/folder",
        "https://me:hunter2@host:8443/folder": "https://host:8443/folder",
        "HTTP://[::1]:80/x": "http://[::1]:80/x",
        "gs://course/week 7/": "gs://course/week 7",
        "gs://course": "gs://course",
        "s3://course/a/b": "s3://course/a/b",
    }
    for url, expected in urls.items():
        store = open_store(url, {"HOME": "/home/me", "WEEK": "7"})
        assert store.url == expected, url
        assert isinstance(store, StoreBackend), url
        assert "hunter2" not in repr(store), url


def test_invalid_urls_are_refused_with_a_hint() -> None:
    for url in (
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
    ):
        assert open_error(url, {"HOME": "/home/me"}).hint, url


def test_credentials_in_a_bucket_url_are_not_shown() -> None:
    error = open_error("s3://AKIAKEY:hunter2@bucket/x")
    assert "hunter2" not in str(error.as_dict())
    assert "environment" in error.hint


@pytest.mark.parametrize(
    "environ", [{}, {"TOKEN": ""}, {"TOKEN": "hunter2\n"}], ids=["unset", "empty", "with a newline"]
)
def test_variable_without_a_valid_value_is_named(environ: dict[str, str]) -> None:
    error = open_error("https://me:${TOKEN}@host/x", environ)
    assert "TOKEN" in error.message
    assert "hunter2" not in str(error.as_dict())
    assert "%env TOKEN=" in error.hint


def test_unknown_scheme_lists_the_known_ones() -> None:
    for scheme in ("gopher", "memory", "hf", "abfs", "sftp"):
        error = open_error(f"{scheme}://host/x")
        assert error.message == f"Invalid store URL: {scheme}:// is not supported."
        for known in ("folder", "gs://", "s3://", "https://"):
            assert known in error.hint, scheme


def test_tilde_needs_the_variable_home() -> None:
    assert "HOME" in open_error("~/x").message


def test_missing_google_credentials_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="GOOGLE_APPLICATION_CREDENTIALS") as caught:
        open_store("gs://bucket", {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none")})
    assert caught.value.hint
