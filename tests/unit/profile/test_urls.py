"""Variables in index URLs are expanded, and their values are never shown."""

from __future__ import annotations

import pytest

from colabenv.errors import ProfileError
from colabenv.profile.urls import expand_url

SECRET = "s3cr3t-value"


def test_variables_are_expanded() -> None:
    environ = {"USER": "u", "TOKEN": SECRET, "INDEX": "file:///w"}
    assert expand_url("https://${USER}:${TOKEN}@h/simple", environ) == f"https://u:{SECRET}@h/simple"
    assert expand_url("${INDEX}", environ) == "file:///w"
    assert expand_url("https://h/simple", {}) == "https://h/simple"


def test_value_of_a_variable_is_not_expanded_again() -> None:
    assert expand_url("https://h/${A}", {"A": "${B}", "B": "x"}) == "https://h/${B}"


@pytest.mark.parametrize(
    ("url", "environ", "message"),
    [
        ("https://${USER}:${TOKEN}@h/", {"USER": SECRET}, "TOKEN, which is not set"),
        ("https://${USER}:${TOKEN}@h/", {"USER": SECRET, "TOKEN": ""}, "TOKEN, which is empty"),
        ("https://${TOKEN}@h/", {"TOKEN": SECRET + "\n"}, "TOKEN of the index URL contains a space"),
        ("https://${TOKEN}@h/", {"TOKEN": SECRET + " x"}, "TOKEN of the index URL contains a space"),
        ("${INDEX}", {"INDEX": SECRET}, "(variables: INDEX)"),
        ("https://h:${PORT}/", {"PORT": SECRET}, "invalid URL"),
    ],
)
def test_error_names_the_variable_but_no_value(url: str, environ: dict[str, str], message: str) -> None:
    with pytest.raises(ProfileError) as caught:
        expand_url(url, environ)
    assert message in caught.value.message
    assert caught.value.hint
    assert SECRET not in str(caught.value.as_dict())
