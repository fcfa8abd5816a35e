"""Locks in the formats of other tools, as text. Every module here is pure."""
