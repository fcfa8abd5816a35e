"""Every fault test has a machine and an index of its own."""

from support.command_fixtures import bench, index, kernel_wheels, serving, unpacked

__all__ = ["bench", "index", "kernel_wheels", "serving", "unpacked"]
