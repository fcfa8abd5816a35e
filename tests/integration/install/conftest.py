"""Each installation test has its own machine; the index is restored after each test."""

from support.command_fixtures import index, kernel_wheels, machine, shared_index, shared_uv_cache
from support.mirror import archive, mirror, python

__all__ = [
    "archive",
    "index",
    "kernel_wheels",
    "machine",
    "mirror",
    "python",
    "shared_index",
    "shared_uv_cache",
]
