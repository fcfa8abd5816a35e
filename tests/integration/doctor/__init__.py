"""The doctor on real environments: broken by a recipe, diagnosed, mended by its own command, and tried again."""
