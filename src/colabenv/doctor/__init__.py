"""What is wrong with a Python environment, the evidence for it, and the command that fixes it."""
