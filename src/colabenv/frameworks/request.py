"""What a profile says of its frameworks, as plain data. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from colabenv.host.interpreters import minor_version


@dataclass(frozen=True)
class FrameworkRequest:
    """What the profile says of its frameworks; versions as PEP 440 specifiers such as "==2.15.1".

    Attributes:
        python: the profile's, or None.
        tensorflow: of TensorFlow, or None where there shall be none.
        keras: of Keras, or None for the one that fits.
        torch: of PyTorch, likewise.
        jax: of JAX, likewise.
        backend: what Keras 3 runs on, "tensorflow", "torch" or "jax", or None.
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
