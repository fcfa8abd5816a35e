"""Stand-in for Colab's module of this name: ipykernel's launcher, which never drops output.

Installed into the base of the stand-in machine; the kernelspec `python3` starts it.
"""

from __future__ import annotations

from typing import Any

from ipykernel import kernelapp


class ColabKernelApp(kernelapp.IPKernelApp):  # type: ignore[misc]
    """ipykernel's application, without a limit on the output that waits for the page."""

    def init_iopub(self, context: Any) -> None:
        # A socket takes these from its context when it is created.
        context.sndhwm = 0
        context.rcvhwm = 0
        super().init_iopub(context)


if __name__ == "__main__":
    ColabKernelApp.launch_instance()
