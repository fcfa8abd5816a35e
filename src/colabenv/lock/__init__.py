"""Locks: exact pins with hashes, which are resolved, read, compared and written here."""
