"""The errors colabenv raises on purpose. `cli` alone turns them into exit codes.

::

    ColabenvError                     exit 3 unless a subclass says otherwise
    ├── RequestError                  exit 2: the request is wrong
    │   ├── UsageError                    arguments that do not go together, an unknown name
    │   ├── ProfileError                  the profile, with the place in the file
    │   └── LockError                     no lock, or one that does not fit (--frozen)
    ├── MachineError                  exit 3: this machine cannot
    │   ├── DiskError                     full, or a folder that cannot hold an environment
    │   ├── InterpreterError              the requested Python is not available
    │   ├── NetworkError                  an index or mirror that cannot be reached
    │   ├── CorruptError                  bytes that are not what the lock says
    │   ├── StoreError                    a store that could not be used, or that holds what it should not
    │   │   ├── ModifiedPackageError          a package to push is not what was installed
    │   │   └── NotInStoreError               no such object in the store
    │   └── InstallError                  the installer failed for another reason
    ├── UnsatisfiableError            exit 4: no versions satisfy the profile
    └── CheckError                    exit 5: built, but its check failed; no kernel was registered
"""

from __future__ import annotations

import re
from typing import Any


class ColabenvError(Exception):
    """Root of the tree: what happened, and what to do about it.

    Args:
        message: what happened, one or two sentences a newcomer understands.
        hint: the next step, best a command; empty only where there is none.
        detail: evidence to show below the message, such as an installer's own last lines.

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
        """The error as plain data, the form `--json` prints."""
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
    """Arguments that do not go together, or the name of something that is not there."""


class LockError(RequestError):
    """There is no lock, or it cannot be read, or it does not fit the profile."""


class ProfileError(RequestError):
    """The profile cannot be used.

    Args:
        message: what is wrong, without the place.
        source: path of the file, as the user gave it.
        line: 1-based line, or None where the whole file is meant.
        column: 1-based column, or None.
        value: the offending value as written, or None.
        hint: how to mend it.
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
        place = source
        if line is not None:
            place += f", line {line}" + (f", column {column}" if column is not None else "")
        super().__init__(f"{place}: {message}" if place else message, hint=hint)
        self.source = source
        self.line = line
        self.column = column
        self.value = value

    def as_dict(self) -> dict[str, Any]:
        """As the root's, with the place."""
        place = {"source": self.source, "line": self.line, "column": self.column, "value": self.value}
        return super().as_dict() | place


class MachineError(ColabenvError):
    """This machine cannot do it, though another might."""


class DiskError(MachineError):
    """The disk is full, or the folder lies where an environment cannot live."""


class InterpreterError(MachineError):
    """The Python that the profile asks for is not here and could not be fetched."""


class NetworkError(MachineError):
    """An index or mirror could not be reached."""


class CorruptError(MachineError):
    """Downloaded bytes are not what the lock says they are."""


class StoreError(MachineError):
    """A store could not be used, or what it holds is not what it should be."""


class ModifiedPackageError(StoreError):
    """A package to push is not what was installed."""


class NotInStoreError(StoreError):
    """A store has nothing of that name."""


class InstallError(MachineError):
    """The installer failed in a way that has no class of its own."""


class UnsatisfiableError(ColabenvError):
    """No set of versions satisfies the profile."""

    exit_code = 4


class CheckError(ColabenvError):
    """The environment was built, but its kernel failed the check, so it was not registered."""

    exit_code = 5


def quote_name(name: str) -> str:
    """A name for a message: unchanged if it could be one, else in quotes."""
    return name if re.fullmatch(r"[\w.-]+", name) else repr(name)
