"""Installers: uv, and pip where uv cannot run; one interface for both."""
