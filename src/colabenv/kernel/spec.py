"""Kernelspecs as plain data (jupyter_client's "Kernel specs"). Pure."""

from __future__ import annotations

from typing import Any

PREFIX = "colabenv-"
#: Makes the launcher ignore a warm process (launcher.py).
COLD_VARIABLE = "COLABENV_COLD"


def kernel_name(name: str) -> str:
    """The name a profile's kernel is registered under."""
    return PREFIX + name


def kernelspec(
    *, name: str, display_name: str, environment: str, digest: str, version: str, profile: str
) -> dict[str, Any]:
    """The kernel.json of an environment.

    Args:
        name: of the profile.
        display_name: what menus show.
        environment: its folder.
        digest: of the environment, so that a stale spec is noticed.
        version: of colabenv.
        profile: path of the profile, for users.
    """
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
