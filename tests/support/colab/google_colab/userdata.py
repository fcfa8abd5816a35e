"""Secrets that the person keeps with Colab."""

from __future__ import annotations

from google.colab import _message, errors


class SecretNotFoundError(errors.Error):  # type: ignore[misc]
    """The person has no such secret."""


class NotebookAccessError(Exception):
    """The person has not let this notebook see the secret."""


class TimeoutException(errors.Error):  # type: ignore[misc]
    """No page answered."""


def get(key: str) -> str:
    """Fetch a secret through the page.

    Raises:
        SecretNotFoundError, NotebookAccessError, TimeoutException: as their texts say.
    """
    answer = _message.blocking_request("GetSecret", request={"key": key}, timeout_sec=10)
    if not answer:
        raise TimeoutException(f"Requesting secret {key} timed out.")
    if not answer.get("exists"):
        raise SecretNotFoundError(f"Secret {key} does not exist.")
    if not answer.get("access"):
        raise NotebookAccessError(f"Notebook does not have access to secret {key}")
    return str(answer.get("payload", ""))
