"""Index URLs with their variables filled in. Pure: the variables come as an argument."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic_core import PydanticCustomError

from colabenv.errors import ProfileError
from colabenv.profile import rules
from colabenv.profile.model import Profile


def expand_url(url: str, environ: Mapping[str, str]) -> str:
    """Replace each `${NAME}` in an index URL by the variable's value, as it is.

    A value that stands for a password has its special characters percent-encoded already, as pip and
    uv want it.

    Args:
        url: `Index.url` of a profile.
        environ: the variables, usually `os.environ`.

    Raises:
        ProfileError: a variable is not set, is empty or holds a space or line break, or the result is no
            URL. The message names variables and shows no value.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1]
        text = environ.get(name, "")
        if not text:
            state = "is empty" if name in environ else "is not set"
            hint = f"Set it before this command: in a cell `%env {name}=…`, in a shell `export {name}=…`."
            raise ProfileError(
                f"the index URL needs the variable {name}, which {state}", value=name, hint=hint
            )
        if not text.isprintable() or re.search(r"\s", text):
            hint = "Set it again without a space or line break; one often comes along when it is copied."
            problem = f"the variable {name} of the index URL holds a space, line break or control character"
            raise ProfileError(problem, value=name, hint=hint)
        return text

    filled = rules.VARIABLE.sub(value, url)
    try:
        return rules.full_url(filled, filled)
    except PydanticCustomError as error:
        context = error.context or {}
        names = ", ".join(dict.fromkeys(rules.VARIABLE.findall(url)))
        problem = (
            f"with the variables filled in ({names or 'none'}), an index URL is wrong: {context['problem']}"
        )
        raise ProfileError(problem, hint=context["hint"]) from None


def index_urls(profile: Profile, environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """(name, URL) of a profile's indexes, with the variables filled in.

    Raises:
        ProfileError: a variable is not set.
    """
    return tuple((index.name, expand_url(index.url, environ)) for index in profile.indexes)
