"""Our stand-in for Google's package of this name: what notebooks use most, with the same requests.

Installed into the base of the stand-in machine as `google.colab`. Written from the facts of how Colab's
kernel and page talk; Python 3.8 to 3.13 under ipykernel 6.17.1 and ipython 7.34.0.
"""

from __future__ import annotations

from typing import Any

from google.colab import _magics, drive, files, output, userdata

__all__ = ["drive", "files", "load_ipython_extension", "output", "userdata"]


def load_ipython_extension(ipython: Any) -> None:
    """Register the magics, as IPython asks of an extension."""
    _magics.register(ipython)
