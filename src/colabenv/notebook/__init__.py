"""Cells of a notebook that run in an environment, in a kernel of its own."""
