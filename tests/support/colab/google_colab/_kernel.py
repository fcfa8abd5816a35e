"""The class of every kernel on Colab, named in /etc/ipython/ipython_config.py."""

from __future__ import annotations

from google.colab import _shell
from ipykernel.ipkernel import IPythonKernel
from traitlets import Type


class Kernel(IPythonKernel):  # type: ignore[misc]
    """ipykernel's kernel with Colab's shell."""

    shell_class = Type(_shell.Shell)
