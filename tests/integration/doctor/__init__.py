"""The doctor on real environments: broken by a recipe, diagnosed, fixed by its own commands, and tried again."""
