"""Building environments: installers, stamps, and what an environment contains."""
