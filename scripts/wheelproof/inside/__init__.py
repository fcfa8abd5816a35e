"""What runs inside environments: standard library and what is installed there, CPython 3.8, nothing of colabenv."""
