"""`google.colab` of the base in an environment's kernel."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from colabenv import embedded
from support.pythons import embedded_interpreters
from support.timeouts import TIMEOUT

PYTHONS = embedded_interpreters()
OLDEST = next(iter(PYTHONS.values()))
#: Modules of Python 3.6 have no `__getattr__` (PEP 562).
WITH_GETATTR = {minor: path for minor, path in PYTHONS.items() if minor != "3.6"}


def make_files(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")


# Precedes the script of a test, which runs in another process.
PROLOGUE = """
import os, sys
sys.path.insert(0, sys.argv[1])
import colab_package
package, bytecode, environment = sys.argv[2:5]
sys.path.insert(1, environment)
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base Python's packages: `google.colab` and others."""
    root = tmp_path / "base"
    make_files(root, "google/colab/sub/__init__.py", "google/other/__init__.py", "basepackage/__init__.py")
    (root / "google" / "colab" / "__init__.py").write_text("NAME = __name__\n")
    (root / "google" / "colab" / "_kernel.py").write_text(
        "from google.colab.sub import deep\nclass Kernel: pass\n"
    )
    (root / "google" / "colab" / "sub" / "deep.py").write_text("VALUE = 42\n")
    (tmp_path / "environment").mkdir()
    return root


def run_script(base: Path, script: str, *, python: Path = OLDEST) -> subprocess.CompletedProcess[str]:
    """Run a script that uses the file, by default with the oldest Python of this machine."""
    folder = base.parent
    return subprocess.run(
        [
            python,
            "-I",
            "-c",
            PROLOGUE + script,
            str(embedded.FOLDER),
            str(base / "google" / "colab"),
            str(folder / "bytecode"),
            str(folder / "environment"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )


def list_files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("minor", PYTHONS)
def test_only_google_colab_of_the_base_can_be_imported(base: Path, minor: str) -> None:
    before = list_files(base)
    result = run_script(
        base,
        """
print(colab_package.provide_whole(package, bytecode))
import google.colab, google.colab.sub.deep
print(google.colab.NAME, google.colab.sub.deep.VALUE, google.colab.__file__.startswith(package))
for name in ("google.other", "basepackage", "google.colab.nothing", "google.colabx"):
    try:
        __import__(name)
        print(name, "was imported")
    except ImportError:
        pass
""",
        python=PYTHONS[minor],
    )
    assert result.stderr == ""
    assert result.stdout == "True\ngoogle.colab 42 True\n"
    assert list_files(base) == before
    assert any(path.endswith(".pyc") for path in list_files(base.parent / "bytecode"))


def test_bytecode_is_reused_until_the_source_changes(base: Path) -> None:
    script = (
        "colab_package.provide_whole(package, bytecode)\nimport google.colab.sub.deep as d\nprint(d.VALUE)\n"
    )
    assert run_script(base, script).stdout == "42\n"
    (bytecode,) = (base.parent / "bytecode").rglob("deep.*.pyc")
    written = bytecode.stat().st_mtime_ns
    assert run_script(base, script).stdout == "42\n"
    assert bytecode.stat().st_mtime_ns == written
    source = base / "google" / "colab" / "sub" / "deep.py"
    source.write_text("VALUE = 1000\n")
    assert run_script(base, script).stdout == "1000\n"


@pytest.mark.parametrize("namespace", [True, False])
def test_google_packages_of_the_environment_can_be_imported(base: Path, namespace: bool) -> None:
    environment = base.parent / "environment"
    make_files(environment, "google/auth/__init__.py", "google/protobuf/__init__.py")
    if not namespace:
        (environment / "google" / "__init__.py").write_text(
            "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\nOWN = True\n"
        )
    result = run_script(
        base,
        """
print(colab_package.provide_whole(package, bytecode))
import google.auth, google.protobuf, google.colab
print(google.auth.__file__.startswith(environment), google.protobuf.__file__.startswith(environment))
print(getattr(google, "OWN", False))
""",
    )
    assert result.stderr == ""
    assert result.stdout == f"True\nTrue True\n{not namespace}\n"


def test_google_colab_that_cannot_be_imported_is_removed_again(base: Path) -> None:
    script = """
before = list(sys.meta_path)
print(colab_package.provide_whole(package, bytecode), sys.meta_path == before)
print([name for name in sys.modules if name.startswith("google.colab")])
"""
    for content, error in (
        ("import no_such_thing\n", "no_such_thing"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("def broken(:\n", "it needs a newer Python than"),
        ("raise RuntimeError('no')\n", "RuntimeError"),
    ):
        (base / "google" / "colab" / "_kernel.py").write_text(content)
        result = run_script(base, script)
        assert result.stdout == "False True\n[]\n", content
        assert error in result.stderr
        assert "starting a plain kernel" in result.stderr, content


def test_missing_google_colab_is_reported(base: Path) -> None:
    result = run_script(base, "print(colab_package.provide_whole(package + 'x', bytecode))\n")
    assert result.stdout == "False\n"
    assert "is gone; starting a plain kernel" in result.stderr


def test_google_colab_without_a_kernel_module_is_not_provided(base: Path) -> None:
    (base / "google" / "colab" / "_kernel.py").unlink()
    assert run_script(base, "print(colab_package.provide_whole(package, bytecode))\n").stdout == "False\n"


# Syntax that no Python has, as newer syntax is for an old Python.
NEWER_SYNTAX = "value = 1 :-) 2\n"


def write_modules(base: Path) -> None:
    colab = base / "google" / "colab"
    (colab / "__init__.py").write_text("import no_such_thing\n")
    (colab / "_kernel.py").write_text(NEWER_SYNTAX)
    (colab / "drive.py").write_text("from google.colab import sub\nNAME = __name__\n")
    (colab / "sheets.py").write_text(NEWER_SYNTAX)
    (colab / "data_table.py").write_text("from google.colab import sheets\n")
    (colab / "patches.py").write_text("import no_such_thing\n")
    (colab / "html.py").write_text("from json import no_such_name\n")
    (colab / "_system_commands.py").write_text("def _register_magics(shell):\n    shell.append('shell')\n")


@pytest.mark.parametrize("minor", WITH_GETATTR)
def test_modules_are_provided_one_by_one(base: Path, minor: str) -> None:
    write_modules(base)
    before = list_files(base)
    result = run_script(
        base,
        """
print(colab_package.provide_whole(package, bytecode), colab_package.provide_modules(package, bytecode))
import google.colab
print("google.colab" in sys.modules, google.colab.drive.NAME, hasattr(google.colab, "nothing"))
shell = []
google.colab.load_ipython_extension(shell)
print(shell)
""",
        python=PYTHONS[minor],
    )
    assert result.stdout == "False True\nTrue google.colab.drive False\n['shell']\n", result.stderr
    assert "Colab's kernel cannot be used here" in result.stderr
    assert list_files(base) == before


def test_modules_that_do_not_work_explain_it_in_one_sentence(base: Path) -> None:
    write_modules(base)
    cases = {
        "sheets": "UnavailableModuleError: google.colab.sheets does not work in this environment: it needs a newer",
        "data_table": "UnavailableModuleError: google.colab.sheets does not work in this environment: it needs a newer",
        "html": "UnavailableModuleError: google.colab.html does not work in this environment: it does not fit",
        # The environment may get that package, so `why` explains it.
        "patches": "ModuleNotFoundError: No module named 'no_such_thing'",
        "nothing": "ImportError: cannot import name 'nothing' from 'google.colab'",
    }
    for name, message in cases.items():
        result = run_script(
            base,
            f"""
colab_package.provide_modules(package, bytecode)
try:
    from google.colab import {name}
except ImportError as error:
    print(type(error).__name__ + ": " + str(error))
    print([line for line in getattr(error, "_render_traceback_", list)() if "%%base" not in line])
""",
            python=next(iter(WITH_GETATTR.values())),
        )
        assert result.stdout.startswith(message), (name, result.stdout, result.stderr)
        assert result.stdout.endswith("[]\n"), name


def test_colabs_kernel_works_without_its_displays_of_values(base: Path) -> None:
    colab = base / "google" / "colab"
    (colab / "_reprs.py").write_text(NEWER_SYNTAX)
    (colab / "__init__.py").write_text("from google.colab import _reprs\n_reprs.enable_string_repr()\n")
    result = run_script(
        base,
        "print(colab_package.provide_whole(package, bytecode))\n",
        python=next(iter(WITH_GETATTR.values())),
    )
    assert result.stdout == "True\n", result.stderr


@pytest.mark.parametrize("minor", WITH_GETATTR)
def test_warning_after_a_pip_line_is_left_out_where_python_cannot_list_packages(
    base: Path, minor: str
) -> None:
    """As in google.colab of April 2026, whose shell calls both functions for each `!` line."""
    (base / "google" / "colab" / "_pip.py").write_text(
        "import importlib.metadata\n"
        "def is_pip_install_command(line): return 'pip install' in line\n"
        "def print_previous_import_warning(output): print(len(importlib.metadata.packages_distributions()) > 0)\n"
    )
    script = """
colab_package.provide_whole(package, bytecode)
from google.colab import _pip
print(bool(_pip.is_pip_install_command("pip install six")))
_pip.print_previous_import_warning("")
"""
    result = run_script(base, script, python=WITH_GETATTR[minor])
    assert result.stderr == ""
    can_list = tuple(map(int, minor.split("."))) >= (3, 10)
    assert result.stdout.splitlines()[0] == str(can_list)
