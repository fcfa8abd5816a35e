"""Exact hashed pins: read, written, resolved."""
