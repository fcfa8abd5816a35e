"""The kernel of an environment: how it starts, where it is registered, the proof that it works."""
