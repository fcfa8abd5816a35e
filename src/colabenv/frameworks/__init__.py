"""From the framework choice in a profile to requirements."""
