"""Which store a command is to use: three ways to name one, and the stronger of them."""

from __future__ import annotations

from collections.abc import Mapping

from colabenv.errors import UsageError
from colabenv.profile.model import Profile

#: Turns a store off that a variable or a profile names.
NONE = "none"
_THREE_WAYS = (
    "Name one with --store URL, with the variable COLABENV_STORE, or with `store: URL` in the profile. "
    "A URL is a folder such as /content/drive/MyDrive/colabenv, gs://bucket/folder or s3://bucket/folder."
)


def chosen_store(option: str, profile: Profile | None, environ: Mapping[str, str]) -> str | None:
    """The URL of the store to use, as `open_remote` takes it, or None where there is none.

    `--store` is stronger than COLABENV_STORE, and that than the profile. "none" turns it off, whoever says so.

    Args:
        option: what stands behind `--store`, or "".
        profile: of the environment, if it has one that can be read.
        environ: what colabenv inherited.
    """
    url = option or environ.get("COLABENV_STORE", "").strip()
    if not url and profile is not None:
        url = profile.store or ""
    return url if url and url != NONE else None


def required_store(option: str, profile: Profile | None, environ: Mapping[str, str]) -> str:
    """The URL of the store to use; see `chosen_store`.

    Raises:
        UsageError: none is named.
    """
    url = chosen_store(option, profile, environ)
    if url is None:
        off = NONE in {option, environ.get("COLABENV_STORE", "").strip(), profile.store if profile else ""}
        raise UsageError("The store is turned off (none)." if off else "No store is named.", hint=_THREE_WAYS)
    return url
