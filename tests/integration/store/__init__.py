"""Stores on folders, a mount and real servers."""
