"""The kernel of an environment: how it starts, the check that it works, and where it is registered."""
