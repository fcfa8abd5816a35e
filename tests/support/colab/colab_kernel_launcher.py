"""Stands for the module of that name on Colab: ipykernel's program, whose output is never dropped.

Installed into the base of the stand-in machine; the kernel spec `python3` starts it.
"""

from __future__ import annotations

from typing import Any

from ipykernel import kernelapp


class ColabKernelApp(kernelapp.IPKernelApp):  # type: ignore[misc]
    """ipykernel's program without a limit on how much output may wait for the page."""

    def init_iopub(self, context: Any) -> None:
        # A socket takes these from its context when it is made.
        context.sndhwm = 0
        context.rcvhwm = 0
        super().init_iopub(context)


if __name__ == "__main__":
    ColabKernelApp.launch_instance()
