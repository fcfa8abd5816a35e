"""The request to a resolver, and the interface of resolvers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from colabenv.host.interpreters import Interpreter
from colabenv.lock.lockfile import Pin


@dataclass(frozen=True)
class ResolveRequest:
    """What to resolve, and for which Python and platform.

    Attributes:
        requirements: PEP 508 lines.
        constraints: PEP 508 lines.
        python: minor Python, such as "3.11".
        interpreter: an executable of that Python.
        platform: uv's name of a platform, or "" for this machine's.
        source_builds: distributions that may be built from source; all others are installed from wheels.
        indexes: (name, URL) of additional indexes, including credentials.
        preferred: pins to keep if they still fit.
        as_of: only releases uploaded by the end of that day (UTC) are considered, such as "2023-04-02"; "" for all.
        exempt: (distribution, day) of distributions with a later day than `as_of`; the day is "" for no limit.
    """

    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    python: str
    interpreter: Path
    platform: str
    source_builds: tuple[str, ...]
    indexes: tuple[tuple[str, str], ...]
    preferred: tuple[Pin, ...] = ()
    as_of: str = ""
    exempt: tuple[tuple[str, str], ...] = ()


class Resolver(Protocol):
    """Turns requirements into exact pins."""

    def resolve(self, request: ResolveRequest) -> tuple[Pin, ...]:
        """The pins, sorted.

        Raises:
            UnsatisfiableError: no versions satisfy the request.
            NetworkError: the index could not be reached.
        """
        ...


class PythonSource(Resolver, Protocol):
    """A resolver that also finds Pythons."""

    def find_interpreter(self, version: str) -> Interpreter:
        """Find a Python on this machine, or download one.

        Args:
            version: "3.10", or a full version such as "3.10.13".

        Raises:
            InterpreterError, NetworkError: it is not available.
        """
        ...
