"""Environments restored from a store, end to end."""
