"""Every test of installing has a machine and an index of its own."""

from support.command_fixtures import bench, index, kernel_wheels, serving, unpacked
from support.mirror import archive, mirror, python

__all__ = ["archive", "bench", "index", "kernel_wheels", "mirror", "python", "serving", "unpacked"]
