"""Errors shared by the modules of this package."""

from __future__ import annotations


class Error(Exception):
    """Base class of errors between the kernel and the page."""
