"""Every fault test has a machine and an index of its own."""

from support.benches import bench, index, kernel_wheels, serving, unpacked

__all__ = ["bench", "index", "kernel_wheels", "serving", "unpacked"]
