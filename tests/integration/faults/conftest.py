"""Each fault test has its own machine; the index is restored after each test."""

from support.command_fixtures import index, kernel_wheels, machine, shared_index, shared_uv_cache

__all__ = ["index", "kernel_wheels", "machine", "shared_index", "shared_uv_cache"]
