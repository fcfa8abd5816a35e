"""How a notebook displays values. Google's module needs Python 3.8, so this one does, too."""

from __future__ import annotations

import IPython


def enable_string_repr() -> None:
    """Show strings as Python writes them, if a shell runs."""
    if shell := IPython.get_ipython():
        shell.display_formatter.formatters["text/plain"].for_type(
            str, lambda text, printer, _: printer.text(repr(text))
        )
