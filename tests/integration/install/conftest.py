"""Each installation test has its own machine; the index is restored after each test."""

from support.command_fixtures import bench, index, kernel_wheels, serving, unpacked
from support.mirror import archive, mirror, python

__all__ = ["archive", "bench", "index", "kernel_wheels", "mirror", "python", "serving", "unpacked"]
