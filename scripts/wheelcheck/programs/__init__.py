"""Programs that environments run: CPython 3.8, without colabenv."""
