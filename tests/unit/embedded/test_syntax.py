"""Every embedded file runs on Python 3.6."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from colabenv import embedded
from support.patience import PATIENCE
from support.pythons import embedded_interpreters

FILES = sorted(path for path in embedded.FOLDER.glob("*.py") if path.name != "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_has_python_3_6_syntax(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 6))
    imports = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert "__future__" not in imports, "Python 3.6 does not know `annotations`"


@pytest.mark.parametrize("minor", embedded_interpreters())
def test_every_python_can_import_every_file(minor: str) -> None:
    code = f"import sys; sys.path.insert(0, sys.argv[1]); [__import__(name) for name in {[p.stem for p in FILES]}]"
    python = embedded_interpreters()[minor]
    subprocess.run([python, "-I", "-B", "-c", code, embedded.FOLDER], check=True, timeout=PATIENCE)
