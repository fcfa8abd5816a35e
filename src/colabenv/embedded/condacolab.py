"""The package `condacolab` in an environment, whose functions explain why they do nothing.

The real one replaces the running Python by conda's. Standard library only, Python 3.6 syntax. A copy is the last entry
on the environment's path.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def install(*_: "Any", **__: "Any") -> None:
    """Explain that conda is not installed; the kernel keeps running."""
    sys.stdout.write(
        "colabenv: conda is not installed, because it would replace this environment's Python. "
        "Install packages with pip, or list them in the profile.\n"
    )


install_from_url = install_miniconda = install_anaconda = install_mambaforge = install_miniforge = install


def check(*_: "Any", **__: "Any") -> None:
    """Nothing to check."""
