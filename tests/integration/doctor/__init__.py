"""The doctor on real environments: a recipe breaks one, the doctor diagnoses it and its own commands fix it."""
