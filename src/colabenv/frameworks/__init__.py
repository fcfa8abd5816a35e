"""Derive requirements from the frameworks that a profile requests."""
