"""The kernel of an environment: how it starts, its check, and its registration."""
