"""The embedded files run on Python 3.6 and newer."""

from __future__ import annotations

import ast
import subprocess

import pytest

from colabenv import embedded
from support.pythons import embedded_interpreters
from support.timeouts import TIMEOUT

FILES = sorted(path for path in embedded.FOLDER.glob("*.py") if path.name != "__init__.py")


def test_files_have_python_3_6_syntax() -> None:
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"), path.name, feature_version=(3, 6))
        imports = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert "__future__" not in imports, f"{path.name}: Python 3.6 has no `annotations`"


@pytest.mark.parametrize("minor", embedded_interpreters())
def test_every_python_imports_every_file(minor: str) -> None:
    code = f"import sys; sys.path.insert(0, sys.argv[1]); [__import__(name) for name in {[p.stem for p in FILES]}]"
    python = embedded_interpreters()[minor]
    subprocess.run([python, "-I", "-B", "-c", code, embedded.FOLDER], check=True, timeout=TIMEOUT)
