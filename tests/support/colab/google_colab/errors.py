"""Errors that the modules here share."""

from __future__ import annotations


class Error(Exception):
    """Root of what goes wrong between the kernel and the page."""
