"""Stand-in for Google's package: the functions that notebooks use most, with the same requests to the page.

Installed into the base of the stand-in machine as `google.colab`. It follows the messages between Colab's kernel and
page. For Python 3.7 (without `_reprs`) to 3.13 with ipykernel 6.17.1 and ipython 7.34.0.
"""

from __future__ import annotations

import importlib
from typing import Any

from google.colab import _magics, _reprs, drive, files, output, userdata

# Google's package imports these (April 2026). An environment without one of them cannot import Google's package, so it
# must not be able to import this one either.
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
    """Register the magics; IPython calls this when it loads the extension."""
    _magics.register(ipython)
    _reprs.enable_string_repr()
