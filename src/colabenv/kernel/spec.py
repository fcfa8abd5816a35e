"""Kernelspecs as plain data (jupyter_client's "Kernel specs"). Pure."""

from __future__ import annotations

from typing import Any

PREFIX = "colabenv-"


def kernel_name(name: str) -> str:
    """The name a profile's kernel is registered under."""
    return PREFIX + name


def kernelspec(
    *, name: str, display_name: str, environment: str, digest: str, version: str, profile: str
) -> dict[str, Any]:
    """The kernel.json of an environment. `digest` shows whether it is outdated, and `profile` is the path for users."""
    return {
        "argv": [
            f"{environment}/bin/python",
            # Isolated and without site, because nothing of the base may run before the launcher.
            "-I",
            "-S",
            f"{environment}/colabenv/launcher.py",
            "-f",
            "{connection_file}",
        ],
        "display_name": display_name,
        "language": "python",
        "interrupt_mode": "signal",
        "metadata": {
            "debugger": True,
            "colabenv": {"name": name, "digest": digest, "version": version, "profile": profile},
        },
    }
