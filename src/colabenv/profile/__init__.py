"""Profiles. Nothing is imported here: what needs pydantic or YAML is imported where it is used."""
