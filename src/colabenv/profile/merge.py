"""Several profiles as one: the rules of `extends`, as docs/profile.md states them. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from colabenv.profile.model import Index, Profile

_Part = TypeVar("_Part", bound=BaseModel)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")


def profiles(found: Sequence[Profile]) -> Profile:
    """One profile out of several.

    Args:
        found: what is extended first, the profile that extends it last; a later one wins.

    Returns:
        The last one with what it takes over. Its `name`, its display name, `extends` and `requirements` are its own.
    """
    return functools.reduce(_over, found)


def lines(earlier: tuple[str, ...], later: tuple[str, ...]) -> tuple[str, ...]:
    """Requirements of two files as one list: what the later says of a package replaces what the earlier says."""
    named = {_name(line) for line in later}
    return (*(line for line in earlier if _name(line) not in named), *later)


def _name(line: str) -> str:
    """The distribution of a requirement in the spelling of `rules.requirement`."""
    found = _NAME.match(line)
    return found[0] if found else line


def _over(earlier: Profile, later: Profile) -> Profile:
    verify = _part(earlier.verify, later.verify)
    imports = _union(earlier.verify.imports, later.verify.imports)
    return later.model_copy(
        update={
            "python": later.python or earlier.python,
            "as_of": later.as_of or earlier.as_of,
            "like": later.like or earlier.like,
            "store": later.store or earlier.store,
            "stack": _part(earlier.stack, later.stack),
            "packages": lines(earlier.packages, later.packages),
            "indexes": _indexes(earlier.indexes, later.indexes),
            "source_builds": _union(earlier.source_builds, later.source_builds),
            "env": {**earlier.env, **later.env},
            "kernel": _part(earlier.kernel, later.kernel, own=("display_name",)),
            "verify": verify.model_copy(update={"imports": imports}),
        }
    )


def _part(earlier: _Part, later: _Part, own: tuple[str, ...] = ()) -> _Part:
    """The later part, with the keys that only the earlier one has; those in `own` are not taken over."""
    taken = earlier.model_fields_set - later.model_fields_set - set(own)
    values: dict[str, Any] = {name: getattr(earlier, name) for name in taken}
    return later.model_copy(update=values)


def _union(earlier: Iterable[str], later: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*earlier, *later]))


def _indexes(earlier: tuple[Index, ...], later: tuple[Index, ...]) -> tuple[Index, ...]:
    """By name; a replaced one keeps its place, because the order of indexes counts."""
    return tuple({index.name: index for index in (*earlier, *later)}.values())
