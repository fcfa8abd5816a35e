"""The frameworks that a profile requests, as plain data. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from colabenv.host.interpreters import minor_version


@dataclass(frozen=True)
class FrameworkRequest:
    """Versions as PEP 440 specifiers, such as "==2.15.1"; None if the profile has none.

    Attributes:
        python: "3.11", or a full version.
        backend: the backend of Keras 3, "tensorflow", "torch" or "jax".
    """

    python: str | None = None
    tensorflow: str | None = None
    keras: str | None = None
    torch: str | None = None
    jax: str | None = None
    backend: str | None = None

    @property
    def minor(self) -> str | None:
        """The minor of the profile's Python."""
        return minor_version(self.python) if self.python else None
