"""The machine: its kind, its GPUs and its Pythons."""
