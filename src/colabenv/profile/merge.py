"""Merge profiles by the rules of `extends` in docs/profile.md."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from colabenv.profile.model import Profile

_Part = TypeVar("_Part", bound=BaseModel)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")


def merge_profiles(profiles: Sequence[Profile]) -> Profile:
    """Merge profiles in order of precedence: extended ones first, the profile that extends them last.

    `name`, the kernel's display name, `extends` and `requirements` are not inherited.
    """
    return functools.reduce(_merge, profiles)


def merge_requirements(earlier: tuple[str, ...], later: tuple[str, ...]) -> tuple[str, ...]:
    """Both lists, without the earlier requirements whose package is in the later list."""
    replaced = {_distribution(line) for line in later}
    return (*(line for line in earlier if _distribution(line) not in replaced), *later)


def _distribution(line: str) -> str:
    """The distribution of a requirement as `validators.normalize_requirement` writes it."""
    match = _NAME.match(line)
    return match[0] if match else line


def _merge(earlier: Profile, later: Profile) -> Profile:
    verify = _merge_part(earlier.verify, later.verify)
    imports = _union(earlier.verify.imports, later.verify.imports)
    return later.model_copy(
        update={
            "python": later.python or earlier.python,
            "as_of": later.as_of or earlier.as_of,
            "like": later.like or earlier.like,
            "store": later.store or earlier.store,
            "stack": _merge_part(earlier.stack, later.stack),
            "packages": merge_requirements(earlier.packages, later.packages),
            # By name; a replaced index keeps its position, because the order counts.
            "indexes": tuple({index.name: index for index in (*earlier.indexes, *later.indexes)}.values()),
            "source_builds": _union(earlier.source_builds, later.source_builds),
            "env": {**earlier.env, **later.env},
            "kernel": _merge_part(earlier.kernel, later.kernel, own=("display_name",)),
            "verify": verify.model_copy(update={"imports": imports}),
        }
    )


def _merge_part(earlier: _Part, later: _Part, own: tuple[str, ...] = ()) -> _Part:
    """The later part, with the keys that only the earlier one sets; those in `own` are not inherited."""
    inherited = earlier.model_fields_set - later.model_fields_set - set(own)
    values: dict[str, Any] = {name: getattr(earlier, name) for name in inherited}
    return later.model_copy(update=values)


def _union(earlier: Iterable[str], later: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*earlier, *later]))
