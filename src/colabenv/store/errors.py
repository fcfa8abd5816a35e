"""What is said when a store's server cannot be used. Pure.

The libraries' own messages are never shown: they quote headers, addresses and answers, and with them credentials.
"""

from __future__ import annotations

from colabenv.errors import NotInStoreError, StoreError

URL_HINT = (
    "A store is a folder (/content/drive/MyDrive/colabenv), a bucket (gs://BUCKET/FOLDER or s3://BUCKET/FOLDER), "
    "or, read-only, a web address (https://HOST/FOLDER)."
)
_WITHOUT = "Everything also works without the store, only slower."


def not_found(task: str, url: str) -> NotInStoreError:
    """The store answered that it has no such object.

    Args:
        task: what was done, before the store's address: "read layers/x from".
        url: the store as it may be shown.
    """
    return NotInStoreError(f"Could not {task} the store {url}: there is no such object.")


def unreachable(task: str, url: str) -> StoreError:
    """No connection: no such host, nothing listens, or no way there."""
    return StoreError(
        f"Could not {task} the store {url}: its server could not be reached.",
        hint=f"Check its address and the network. {_WITHOUT}",
    )


def no_response(task: str, url: str) -> StoreError:
    """The server took the request and then sent nothing, or stopped in the middle."""
    return StoreError(
        f"Could not {task} the store {url}: its server stopped answering.",
        hint=f"Run the same command again; if it stays so, ask whoever runs the server. {_WITHOUT}",
    )


def mount_stalled(task: str, url: str) -> StoreError:
    """A mount takes requests and does not answer."""
    return StoreError(
        f"Could not {task} the store {url}: the drive or network folder it lies on does not answer.",
        hint="In a notebook, mount Google Drive again: from google.colab import drive; "
        f"drive.mount('/content/drive', force_remount=True). {_WITHOUT}",
    )


def bad_certificate(task: str, url: str) -> StoreError:
    """Its certificate is not one that this machine trusts."""
    return StoreError(
        f"Could not {task} the store {url}: its certificate is not one that this machine trusts.",
        hint="Check the address. Where the server has a certificate of its own, name it in SSL_CERT_FILE.",
    )


def access_denied(task: str, url: str, hint: str) -> StoreError:
    """The server wants other credentials.

    Args:
        task: see `not_found`.
        url: see `not_found`.
        hint: how credentials reach this kind of store.
    """
    return StoreError(f"Could not {task} the store {url}: access was refused.", hint=hint)


def missing_bucket(task: str, url: str) -> StoreError:
    """The bucket is not there, which no object in it can tell from its own absence."""
    return StoreError(
        f"Could not {task} the store {url}: there is no such bucket.",
        hint="Check the bucket's name, or make the bucket first; colabenv makes none.",
    )


def bad_response(task: str, url: str, status: int | None = None) -> StoreError:
    """The server answered with an error of its own, or with something else than it was asked for."""
    said = (
        f"its server answered with HTTP status {status}" if status else "its server gave an answer of no use"
    )
    return StoreError(
        f"Could not {task} the store {url}: {said}.",
        hint=f"Run the same command again; if it stays so, check the store's address. {_WITHOUT}",
    )


def missing_library(kind: str, extra: str) -> StoreError:
    """What reads such a store is not installed.

    Args:
        kind: of the store, such as "s3://".
        extra: of colabenv, that brings it.
    """
    return StoreError(
        f"Stores at {kind} need a package that is not installed here.",
        hint=f"Install it: in a cell %pip install 'colabenv[{extra}]', in a shell pip install 'colabenv[{extra}]'.",
    )
