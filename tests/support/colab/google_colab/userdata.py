"""Secrets that the user stores in Colab."""

from __future__ import annotations

from google.colab import _message, errors


class SecretNotFoundError(errors.Error):  # type: ignore[misc]
    """The user has no such secret."""


class NotebookAccessError(Exception):
    """The user has not given this notebook access to the secret."""


class TimeoutException(errors.Error):  # type: ignore[misc]
    """No page has answered."""


def get(key: str) -> str:
    """Request a secret from the page.

    Raises:
        SecretNotFoundError, NotebookAccessError, TimeoutException: see these classes.
    """
    answer = _message.blocking_request("GetSecret", request={"key": key}, timeout_sec=10)
    if not answer:
        raise TimeoutException(f"Requesting secret {key} timed out.")
    if not answer.get("exists"):
        raise SecretNotFoundError(f"Secret {key} does not exist.")
    if not answer.get("access"):
        raise NotebookAccessError(f"Notebook does not have access to secret {key}")
    return str(answer.get("payload", ""))
