"""Each fault test has its own machine; the index is restored after each test."""

from support.command_fixtures import bench, index, kernel_wheels, serving, unpacked

__all__ = ["bench", "index", "kernel_wheels", "serving", "unpacked"]
