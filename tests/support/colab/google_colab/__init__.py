"""Our stand-in for Google's package of this name: what notebooks use most, with the same requests.

Installed into the base of the stand-in machine as `google.colab`. Written from the facts of how Colab's
kernel and page talk; Python 3.8 to 3.13 under ipykernel 6.17.1 and ipython 7.34.0.
"""

from __future__ import annotations

import importlib
from typing import Any

from google.colab import _magics, drive, files, output, userdata

# What Google's package imports in its place (April 2026): an environment without one of these cannot have
# it, so it cannot have this one either.
for _name in (
    "anywidget",
    "httplib2",
    "ipython_genutils",
    "numpy",
    "packaging.version",
    "pexpect.popen_spawn",
    "PIL",
    "psutil",
):
    importlib.import_module(_name)

__all__ = ["drive", "files", "load_ipython_extension", "output", "userdata"]


def load_ipython_extension(ipython: Any) -> None:
    """Register the magics, as IPython asks of an extension."""
    _magics.register(ipython)
