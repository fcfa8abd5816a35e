"""Warm kernels, with real kernels and servers."""
