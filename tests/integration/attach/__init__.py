"""Cells that run in an environment, with real kernels of real Jupyter releases."""
