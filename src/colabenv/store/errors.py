"""Errors of stores.

The libraries' own messages are never shown, because they quote headers, addresses and answers, which may contain
credentials. In each function, `task` is what was tried, as a phrase before the store's URL ("read layers/x from"), and
`url` has no credentials.
"""

from __future__ import annotations

from colabenv.errors import NotInStoreError, StoreError

URL_HINT = (
    "A store is a folder (/content/drive/MyDrive/colabenv), a bucket (gs://BUCKET/FOLDER or s3://BUCKET/FOLDER), "
    "or, read-only, a web address (https://HOST/FOLDER)."
)
_OPTIONAL = "Everything also works without the store, only slower."


def not_found(task: str, url: str) -> NotInStoreError:
    """The store has no such object."""
    return NotInStoreError(f"Could not {task} the store {url}: there is no such object.")


def unreachable(task: str, url: str) -> StoreError:
    """There is no connection to the server."""
    hint = f"Check its address and the network. {_OPTIONAL}"
    return store_error(task, url, "its server could not be reached", hint)


def no_response(task: str, url: str) -> StoreError:
    """The server sends nothing, or stopped in the middle."""
    hint = (
        f"Run the same command again. If that does not help, contact the server's administrator. {_OPTIONAL}"
    )
    return store_error(task, url, "its server stopped answering", hint)


def mount_stalled(task: str, url: str) -> StoreError:
    """A mounted folder does not respond."""
    mount = "from google.colab import drive; drive.mount('/content/drive', force_remount=True)"
    hint = f"In a notebook, mount Google Drive again: {mount}. {_OPTIONAL}"
    return store_error(task, url, "its drive or network folder does not respond", hint)


def bad_certificate(task: str, url: str) -> StoreError:
    """This machine does not trust the server's certificate."""
    hint = (
        "Check the address. If the server has its own certificate authority, set SSL_CERT_FILE to its file."
    )
    return store_error(task, url, "this machine does not trust its certificate", hint)


def access_denied(task: str, url: str, hint: str) -> StoreError:
    """The server requires other credentials; `hint` says how to set them."""
    return store_error(task, url, "access was denied", hint)


def missing_bucket(task: str, url: str) -> StoreError:
    """The bucket does not exist."""
    hint = "Check its name, or create it first; colabenv does not create buckets."
    return store_error(task, url, "there is no such bucket", hint)


def bad_response(task: str, url: str, status: int | None = None) -> StoreError:
    """The server answered with an error, or not with what was requested."""
    answer = (
        f"its server answered with HTTP status {status}" if status else "its server sent an invalid answer"
    )
    hint = f"Run the same command again. If that does not help, check the store's address. {_OPTIONAL}"
    return store_error(task, url, answer, hint)


def store_error(task: str, url: str, problem: str, hint: str) -> StoreError:
    """Any other problem."""
    return StoreError(f"Could not {task} the store {url}: {problem}.", hint=hint)


def missing_library(kind: str, extra: str) -> StoreError:
    """The library for a kind of store, such as "s3://", is not installed; an extra of colabenv installs it."""
    return StoreError(
        f"Stores at {kind} need a package that is not installed.",
        hint=f"Install it: in a cell %pip install 'colabenv[{extra}]', in a shell pip install 'colabenv[{extra}]'.",
    )
