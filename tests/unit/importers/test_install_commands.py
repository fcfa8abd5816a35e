"""Finding install commands and imports in notebook cells."""

from __future__ import annotations

import pytest

from colabenv.importers.cells import (
    CellLocation,
    extract_python,
    find_cell_magic,
    find_shell_commands,
    find_written_files,
)
from colabenv.importers.imports import Import, find_imports
from colabenv.importers.install_commands import find_installs
from colabenv.importers.notebook import Cell, Notebook


def notebook(*sources: str) -> Notebook:
    return Notebook("n", tuple(Cell(number, "code", source) for number, source in enumerate(sources, 1)))


def list_targets(source: str) -> list[tuple[str, str]]:
    return [
        (target.kind, target.text)
        for install in find_installs(notebook(source))
        for target in install.targets
    ]


@pytest.mark.parametrize(
    ("source", "packages"),
    [
        ("!pip install numpy", ["numpy"]),
        ("! pip3 -q install  --upgrade tensorflow==2.4 keras", ["tensorflow==2.4", "keras"]),
        ("%pip install 'foo[bar]>=1,<2'", ["foo[bar]<2,>=1"]),
        ("%conda install -y -c conda-forge numpy=1.19 scipy", ["numpy==1.19.*", "scipy"]),
        ("!conda install pytorch==1.7.1=py3.8_cuda -c pytorch", ["pytorch==1.7.1"]),
        ("!mamba install 'numpy>=1.19' conda-forge::xgboost -y", ["numpy>=1.19", "xgboost"]),
        ("!uv pip install --system polars==1.0", ["polars==1.0"]),
        ("%uv pip install polars", ["polars"]),
        ("!uv add polars", ["polars"]),
        ("!python -m pip install a b", ["a", "b"]),
        ("!python3.10 -u -m pip install a", ["a"]),
        ("!{sys.executable} -m pip install a", ["a"]),
        ("!sudo -H pip install a", ["a"]),
        ("!PIP_NO_CACHE_DIR=1 pip install a", ["a"]),
        ("!/usr/bin/pip install a", ["a"]),
        ("!pip install a && pip install b; pip install c | tail -1", ["a", "b", "c"]),
        ("!pip install a > /dev/null 2>&1", ["a"]),
        ("!pip install torch>=1.7", ["torch>=1.7"]),
        ("!pip install a==1.0 # pinned since 2.0 broke", ["a==1.0"]),
        ("!pip install a=1.0", ["a==1.0"]),
        ("!pip install scipy=={VERSION} $OTHER", ["scipy"]),
        ("!pip install \\\n   a \\\n   b\nx = 1", ["a", "b"]),
        ("pip install a", ["a"]),
        ("if COLAB:\n    !pip install a", ["a"]),
        ("%%capture\n!pip install a", ["a"]),
        ("%%bash\npip install a\npip install b", ["a", "b"]),
        ("%%shell\nset -e\npip install -U a", ["a"]),
        ("out = !pip install a", ["a"]),
        ("%system pip install a", ["a"]),
        ("import os\nos.system('pip install a')", ["a"]),
        (
            "import subprocess\nsubprocess.check_call([sys.executable, '-m', 'pip', 'install', 'a==1'])",
            ["a==1"],
        ),
        ("get_ipython().system('pip install a')", ["a"]),
        ("!easy_install a", ["a"]),
        ("!pip install torchvision==0.8.0+cu101 --progress-bar off", ["torchvision==0.8.0+cu101"]),
    ],
)
def test_packages_in_install_commands_are_found(source: str, packages: list[str]) -> None:
    assert [text for kind, text in list_targets(source) if kind == "package"] == packages


@pytest.mark.parametrize(
    "source",
    [
        "!pip uninstall -y tensorflow",
        "!apt-get install -y ffmpeg",
        "!npm install a",
        "!echo pip install a",
        "# !pip install a",
        "print('!pip install a')",
        '"""\n!pip install a\n"""',
        "%%writefile setup.sh\npip install a",
        "%%javascript\npip install a",
        "!pip freeze",
        "!conda create -n x",
        "a.system",
    ],
)
def test_other_commands_are_ignored(source: str) -> None:
    assert [text for kind, text in list_targets(source) if kind == "package"] == []


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("!pip install git+https://github.com/x/y", ("address", "git+https://github.com/x/y")),
        ("!pip install https://u:p@host/a.whl", ("address", "https://***@host/a.whl")),
        ("!pip install 'a @ https://u:p@host/a.whl'", ("address", "a @ https://***@host/a.whl")),
        ("!pip install -e .", ("folder", ".")),
        ("!pip install ./a-1.0-py3-none-any.whl", ("folder", "./a-1.0-py3-none-any.whl")),
        ("!pip install -r requirements.txt", ("file", "requirements.txt")),
        ("!pip install -rrequirements.txt", ("file", "requirements.txt")),
        ("!pip install --requirement=requirements.txt", ("file", "requirements.txt")),
        ("!pip install -c pins.txt", ("constraints", "pins.txt")),
        ("!pip install $PACKAGES", ("unreadable", "$PACKAGES")),
    ],
)
def test_targets_that_are_not_packages(source: str, target: tuple[str, str]) -> None:
    assert list_targets(source) == [target]


def test_indexes_and_options_are_kept_and_the_text_hides_passwords() -> None:
    (install,) = find_installs(notebook("!pip install a -q -i https://u:secret@host/simple --pre"))
    assert install.indexes == ("https://u:secret@host/simple",)
    assert install.options == ("-q", "-i", "--pre")
    assert "secret" not in install.text


def test_location_is_cell_and_line() -> None:
    (install,) = find_installs(notebook("x = 1", "y = 2\n\n!pip install a"))
    assert install.location == CellLocation(2, 3)
    assert install.targets[0].location == CellLocation(2, 3)


def test_imports_have_names_aliases_and_locations() -> None:
    source = "!ls\nimport tensorflow as tf, os.path\nfrom tensorflow import keras\nfrom . import x\n"
    source += "try:\n    import cv2\nexcept ImportError:\n    cv2 = None\nfrom __future__ import annotations"
    assert find_imports(notebook(source)) == [
        Import("tensorflow", (), "tf", CellLocation(1, 2)),
        Import("os.path", (), "os", CellLocation(1, 2)),
        Import("tensorflow", ("keras",), "", CellLocation(1, 3)),
        Import("cv2", (), "cv2", CellLocation(1, 6), optional=True),
    ]
    assert find_imports(notebook(source))[2].dotted == ("tensorflow.keras",)


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("print 'Python 2'\nimport numpy as np, sys\nfrom a.b import (c, d)", ["numpy", "sys", "a.b"]),
        ("import numpy as np\nfor x in", ["numpy"]),
        ("%matplotlib inline\nimport numpy\n?numpy\nnumpy.array?", ["numpy"]),
        ("text = 'import x'\n# import y\nfiles = !ls *.py\nimport z", ["z"]),
        ("%%time\nimport a", ["a"]),
        ("%%bash\nimport a", []),
        ("def f():\n    import a", ["a"]),
        ("%tensorflow_version 2.x\nimport tensorflow", ["tensorflow"]),
    ],
)
def test_imports_are_found_beside_other_syntax(source: str, modules: list[str]) -> None:
    assert [statement.module for statement in find_imports(notebook(source))] == modules


def test_extracted_python_keeps_its_line_numbers() -> None:
    cell = Cell(1, "code", "!pip install \\\n  a\nif x:\n    !ls\n    y = %time\n")
    assert extract_python(cell) == "pass\n\nif x:\n    pass\n    y = None\n"


def test_files_written_by_cells_are_found() -> None:
    cells = notebook("%%writefile requirements.txt\nnumpy\n", "%%file ./a.py\nx = 1", "x = 1")
    assert find_written_files(cells) == {"requirements.txt": "numpy\n", "a.py": "x = 1"}
    assert find_cell_magic(cells.cells[0].source) == "writefile"
    assert find_shell_commands(cells.cells[0]) == []


#: Cells, and what they install.
VARIABLES: dict[tuple[str, ...], list[str]] = {
    ("V = '2.8.0'", "!pip install tensorflow=={V}"): ["tensorflow==2.8.0"],
    ("V = '2.8.0'\n!pip install -q tensorflow==$V keras==${V}",): ["tensorflow==2.8.0", "keras==2.8.0"],
    ("V = 2.8", "W = f'{V}.1'", "!pip install tensorflow=={W}"): ["tensorflow==2.8.1"],
    ("V = '2.8'\nimport os\nos.system(f'pip install tensorflow=={V}')",): ["tensorflow==2.8"],
    ("import os\nos.environ['V'] = '2.8'", "!pip install tensorflow==$V"): ["tensorflow==2.8"],
    ("%env V=2.8", "!pip install tensorflow==$V"): ["tensorflow==2.8"],
    ("%%bash\nV=2.8\npip install tensorflow==$V",): ["tensorflow==2.8"],
    (
        "import sys, subprocess\nP = 'x==' + '1'\nsubprocess.run([sys.executable, '-m', 'pip', 'install', P])",
    ): ["x==1"],
    ("V = read()", "!pip install tensorflow=={V}"): ["tensorflow"],
    ("!pip install tensorflow=={V}", "V = '2.8'"): ["tensorflow"],
}


def test_versions_in_variables_are_read() -> None:
    installed = {
        cells: [target.text for install in find_installs(notebook(*cells)) for target in install.targets]
        for cells in VARIABLES
    }
    assert installed == VARIABLES


def test_addresses_of_wheels_are_requirements_if_the_index_has_the_package() -> None:
    address = "https://example.com/cu124"
    assert list_targets(f"!pip install {address}/torch-2.6.0%2Bcu124-cp311-cp311-linux_x86_64.whl") == [
        ("package", "torch==2.6.0")
    ]
    ((kind, _),) = list_targets(f"!pip install {address}/our_own_tool-1.0-py3-none-any.whl")
    assert kind == "address"
