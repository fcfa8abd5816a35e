"""Every test of installing has a machine and an index of its own."""

from benches import bench, index, kernel_wheels, serving, unpacked

__all__ = ["bench", "index", "kernel_wheels", "serving", "unpacked"]
