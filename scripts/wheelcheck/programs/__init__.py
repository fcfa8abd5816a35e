"""Programs that environments run: CPython 3.7, without colabenv."""
