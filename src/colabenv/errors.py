"""The errors that colabenv raises on purpose. Only `cli` turns them into exit codes.

::

    ColabenvError                     exit 3 unless a subclass sets another
    ├── RequestError                  exit 2: the request is wrong
    │   ├── UsageError                    contradicting arguments, an unknown name
    │   ├── ProfileError                  the profile, with the position in the file
    │   └── LockError                     no lock, or one that does not fit (--frozen)
    ├── MachineError                  exit 3: this machine cannot do it
    │   ├── DiskError                     full, or a folder that cannot hold an environment
    │   ├── InterpreterError              the requested Python is not available
    │   ├── NetworkError                  an index or mirror that cannot be reached
    │   ├── CorruptError                  bytes that differ from the lock
    │   ├── StoreError                    a store that cannot be used, or whose content is wrong
    │   │   ├── ModifiedPackageError          a package differs from what was installed
    │   │   └── NotInStoreError               the store has no object of that name
    │   └── InstallError                  the installer failed for another reason
    ├── UnsatisfiableError            exit 4: no versions satisfy the profile
    └── CheckError                    exit 5: built, but its check failed; no kernel was registered
"""

from __future__ import annotations

import re
from typing import Any


class ColabenvError(Exception):
    """The base class: what happened, and what to do.

    Args:
        message: what happened, in one or two sentences for newcomers.
        hint: what to do, best a command.
        detail: evidence below the message, such as the last lines of an installer.

    Attributes:
        log: path of the run's log, or ""; `cli` sets it.
    """

    exit_code = 3
    log = ""

    def __init__(self, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail

    def as_dict(self) -> dict[str, Any]:
        """The error as plain data, as `--json` prints it."""
        return {
            "error": type(self).__name__,
            "message": self.message,
            "hint": self.hint,
            "detail": self.detail,
            "exit_code": self.exit_code,
            "log": self.log,
        }


class RequestError(ColabenvError):
    """The request is wrong; nothing was tried."""

    exit_code = 2


class UsageError(RequestError):
    """Arguments contradict each other, or a name is unknown."""


class LockError(RequestError):
    """There is no lock, or it cannot be read, or it does not fit the profile."""


class ProfileError(RequestError):
    """The profile cannot be used.

    Args:
        message: what is wrong, without the position.
        source: path of the file, as the user gave it.
        line: 1-based, or None for the whole file.
        column: 1-based, or None.
        value: the wrong value as written, or None.
        hint: how to fix it.
    """

    def __init__(
        self,
        message: str,
        *,
        source: str = "",
        line: int | None = None,
        column: int | None = None,
        value: str | None = None,
        hint: str = "",
    ) -> None:
        position = source
        if line is not None:
            position += f", line {line}" + (f", column {column}" if column is not None else "")
        super().__init__(f"{position}: {message}" if position else message, hint=hint)
        self.source = source
        self.line = line
        self.column = column
        self.value = value

    def as_dict(self) -> dict[str, Any]:
        """The error with its position."""
        position = {"source": self.source, "line": self.line, "column": self.column, "value": self.value}
        return super().as_dict() | position


class MachineError(ColabenvError):
    """This machine cannot do it, though another might."""


class DiskError(MachineError):
    """The disk is full, or the folder cannot hold an environment."""


class InterpreterError(MachineError):
    """The Python that the profile asks for is not installed and could not be downloaded."""


class NetworkError(MachineError):
    """An index or mirror could not be reached."""


class CorruptError(MachineError):
    """Downloaded bytes differ from the lock."""


class StoreError(MachineError):
    """A store cannot be used, or its content is wrong."""


class ModifiedPackageError(StoreError):
    """A package to push is not what was installed."""


class NotInStoreError(StoreError):
    """A store has no object of that name."""


class InstallError(MachineError):
    """The installer failed for a reason that no other class covers."""


class UnsatisfiableError(ColabenvError):
    """No set of versions satisfies the profile.

    Attributes:
        source_only: the distribution that the index has only as source, if that is the reason, or "".
    """

    exit_code = 4
    source_only = ""


class CheckError(ColabenvError):
    """The environment was built, but its kernel failed the check and was not registered."""

    exit_code = 5


def quote_name(name: str) -> str:
    """A name for a message, in quotes unless it has only letters, digits, dots, dashes and underscores."""
    return name if re.fullmatch(r"[\w.-]+", name) else repr(name)
