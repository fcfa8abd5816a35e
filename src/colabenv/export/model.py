"""What is exported: a lock and all else that another tool has to be told. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from colabenv.host.interpreters import minor_version
from colabenv.lock.lockfile import Lock, Pin


@dataclass(frozen=True)
class ExportRequest:
    """What an export is made of.

    Attributes:
        lock: the pins.
        python: minor or full version, such as "3.11" or "3.11.9".
        variables: the kernel's variables, those of the stack included.
        indexes: (name, URL) of the profile's indexes as it writes them, with `${VARIABLE}` for each secret.
        source_builds: distributions that may be built from source; all others are wheels.
    """

    lock: Lock
    python: str
    variables: Mapping[str, str]
    indexes: tuple[tuple[str, str], ...] = ()
    source_builds: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the profile."""
        return self.lock.header.profile

    @property
    def variant(self) -> str:
        """The variant: "cpu" or "gpu"."""
        return self.lock.header.variant

    @property
    def python_minor(self) -> str:
        """Minor Python, such as "3.11"."""
        return minor_version(self.python)

    @property
    def built_from_source(self) -> tuple[str, ...]:
        """Those of the lock's distributions that may be built from source."""
        return tuple(pin.name for pin in self.lock.pins if pin.name in self.source_builds)


@dataclass(frozen=True)
class Export:
    """A lock in another format.

    Attributes:
        text: the file.
        file_name: what it is usually called.
        use: how to use it, a line each; `FILE` stands for its path.
        notes: what the format cannot hold, a sentence each.
        beside: files that have to lie beside it, by name.
    """

    text: str
    file_name: str
    use: tuple[str, ...]
    notes: tuple[str, ...] = ()
    beside: tuple[tuple[str, str], ...] = ()


def about(subject: ExportRequest, what: str) -> list[str]:
    """The first comment of an exported file: what it is and how to make it anew."""
    return [
        f"# {what} of {subject.name} ({subject.variant}, Python {subject.python_minor}), written by colabenv export.",
        "# Do not edit it: change the profile, and export again.",
    ]


def hashed(pin: Pin) -> str:
    """A pin as one requirement line of pip, hashes included."""
    return " ".join([f"{pin.name}=={pin.version}", *(f"--hash={value}" for value in pin.hashes)])


def pip_options(subject: ExportRequest) -> list[str]:
    """Lines of a requirements file that say where packages come from, and that they are wheels."""
    lines = [f"--extra-index-url {url}" for _, url in subject.indexes]
    lines.append("--only-binary :all:")
    if subject.built_from_source:
        lines.append(f"--no-binary {','.join(subject.built_from_source)}")
    return lines


def variables_note(subject: ExportRequest) -> tuple[str, ...]:
    """What to say where a format has no place for environment variables."""
    if not subject.variables:
        return ()
    told = " ".join(f"{name}={value}" for name, value in subject.variables.items())
    return (f"The format holds no environment variables. The kernel has: {told}",)


def indexes_note(subject: ExportRequest) -> tuple[str, ...]:
    """What to say of indexes whose URLs have variables in them."""
    open_ones = [name for name, url in subject.indexes if "${" in url]
    if not open_ones:
        return ()
    return (
        f"The URL of the index {', '.join(open_ones)} has variables in it, as in the profile: set them where it is "
        "used.",
    )
