"""Run the cells of a notebook in the kernel of an environment."""
