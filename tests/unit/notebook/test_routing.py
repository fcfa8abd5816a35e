"""Which kernel runs a cell."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from colabenv.notebook.routing import route_cell


def route(cell: str) -> tuple[str, str]:
    """Return where a cell runs, and the code that runs there."""
    where = route_cell(cell)
    return where.place, where.code(cell)


def test_cells_that_use_colabenv_run_in_the_base() -> None:
    cells = [
        "%colabenv up profile.yaml",
        "# set up\n%load_ext colabenv\n%colabenv up profile.yaml --variant cpu",
        "  %colabenv status",
        "!pip install -q colabenv",
        "%pip install 'colabenv>=1'",
        "!uv pip install colabenv",
        "!python3 -m pip install colabenv",
        "!python -m colabenv up profile.yaml",
        "! colabenv doctor",
        "import colabenv\ncolabenv.up('p.yaml')",
        "from colabenv import up",
        "%%base now\n1",
        "%%env\n1",
        "%%colabenv up\nname: x",
    ]
    assert [route(cell) for cell in cells] == [("base", cell) for cell in cells]


def test_other_cells_run_in_the_attached_kernel() -> None:
    cells = [
        "",
        "print('%colabenv')",
        "import colabenvironment",
        "%env COLAB=1",
        "!pip install numpy  # for the course",
        "%%bash\n!pip install colabenv\n%colabenv up",
        "%%writefile notes.md\n%colabenv up profile.yaml",
        "x = '%%base'",
        "%%basement\n1",
    ]
    assert [route(cell) for cell in cells] == [("current", cell) for cell in cells]


def test_first_line_that_selects_the_kernel_does_not_run() -> None:
    base = route_cell("\n%%base \n%%time\nx")
    assert (base.place, base.code("\n%%base \n%%time\nx")) == ("base", "%%time\nx")
    named = route_cell("%%env vision-2023\nx")
    assert (named.place, named.name) == ("named", "vision-2023")
    assert named.code("%%env vision-2023\nx") == "x"
    assert route_cell("%%base").code("%%base") == ""


def test_padded_code_keeps_cursor_positions() -> None:
    cell = "%%env demo\nabc.de"
    assert route_cell(cell).pad_code(cell) == "          \nabc.de"


@given(st.text(alphabet="%abe nv\n!:x'", max_size=60))
def test_code_is_the_end_of_the_cell(cell: str) -> None:
    where = route_cell(cell)
    assert cell.endswith(where.code(cell))
    assert len(where.pad_code(cell)) == len(cell)
    assert where.pad_code(cell)[where.skip :] == where.code(cell)
