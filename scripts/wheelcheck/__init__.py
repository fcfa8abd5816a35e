"""Check TensorFlow releases on real wheels: install each from a profile, run its models, open its CUDA libraries."""
