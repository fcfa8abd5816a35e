"""Every test of installing has a machine and an index of its own."""

from benches import bench, index, kernel_wheels, serving, unpacked
from mirror import archive, mirror, python

__all__ = ["archive", "bench", "index", "kernel_wheels", "mirror", "python", "serving", "unpacked"]
