"""Profiles. Nothing is imported here, so that pydantic and YAML are loaded only by what uses them."""
