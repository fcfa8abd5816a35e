"""A warm kernel, with real kernels."""
