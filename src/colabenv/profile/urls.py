"""Substitute environment variables in index URLs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic_core import PydanticCustomError

from colabenv.errors import ProfileError
from colabenv.profile import validators
from colabenv.profile.model import Profile


def expand_url(url: str, environ: Mapping[str, str]) -> str:
    """Replace each `${NAME}` in an index URL by the variable's value.

    Values are not encoded: as for pip and uv, special characters of a password have to be percent-encoded already.

    Raises:
        ProfileError: a variable is not set, is empty or contains whitespace, or the result is not a URL. The message
            names variables but shows no values.
    """

    def substitute(match: re.Match[str]) -> str:
        name = match[1]
        text = environ.get(name, "")
        if not text:
            state = "is empty" if name in environ else "is not set"
            hint = f"Set it first: `%env {name}=…` in a cell, `export {name}=…` in a shell."
            raise ProfileError(
                f"the index URL needs the variable {name}, which {state}", value=name, hint=hint
            )
        if not text.isprintable() or re.search(r"\s", text):
            hint = "Set it again without spaces and line breaks, which are easily copied by mistake."
            problem = (
                f"the variable {name} of the index URL contains a space, line break or control character"
            )
            raise ProfileError(problem, value=name, hint=hint)
        return text

    filled = validators.VARIABLE.sub(substitute, url)
    try:
        return validators.validate_complete_url(filled, filled)
    except PydanticCustomError as error:
        context = error.context or {}
        names = ", ".join(dict.fromkeys(validators.VARIABLE.findall(url)))
        problem = f"invalid index URL (variables: {names or 'none'}): {context['problem']}"
        raise ProfileError(problem, hint=context["hint"]) from None


def index_urls(profile: Profile, environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """(name, URL) of a profile's indexes, with the variables filled in. Raises ProfileError if one is not set."""
    return tuple((index.name, expand_url(index.url, environ)) for index in profile.indexes)
