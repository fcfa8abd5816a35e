"""The machine, as probed."""
