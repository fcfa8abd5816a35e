"""What of the check needs the page: the cell in real Pythons, its output, and the errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from colabenv.embedded import check_cell
from colabenv.embedded.check_cell import INPUT_STEP, PLOT_STEP, STEP_PREFIX, WIDGET_STEP
from colabenv.errors import CheckError
from colabenv.kernel.cell_output import REPORT_MIME, CellOutput
from colabenv.kernel.page_check import describe_page_failure, is_page_step, require_page_output
from support.pythons import embedded_interpreters
from support.timeouts import TIMEOUT

# Stand-ins for the packages that reach the page. Each prints what it would send.
MODULES = {
    "IPython/__init__.py": """
class Shell:
    def run_line_magic(self, name, line):
        print(name, line)
get_ipython = Shell
""",
    "IPython/display.py": "display = print\n",
    "ipywidgets.py": """
class IntSlider:
    model_id = "a1"
    def __repr__(self):
        return "slider"
    def close(self):
        print("closed")
""",
    "matplotlib/__init__.py": "get_backend = lambda: BACKEND\n",
    "matplotlib/pyplot.py": """
figure = lambda figsize: None
plot = lambda line: None
show = lambda: print("plot")
""",
}
RUN = """
import json, sys
sys.path.insert(0, sys.argv[2])
namespace = {"__name__": "colabenv_check"}
exec(compile(open(sys.argv[1]).read(), "<colabenv check>", "exec"), namespace)
print(json.dumps(namespace["run_page_checks"](json.loads(sys.argv[3]))))
"""


def run_cell(folder: Path, python: Path, *packages: str, backend: str = "agg", answer: str = "yes") -> str:
    """Run the cell in a plain process, with the answer on standard input; returns what it wrote."""
    for name, source in MODULES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(source.replace("BACKEND", repr(backend)))
    request = json.dumps({"answer": "yes", "versions": dict.fromkeys(packages, "1")})
    done = subprocess.run(
        [python, "-I", "-c", RUN, check_cell.__file__, folder, request],
        input=f"{answer}\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("minor", embedded_interpreters())
def test_cell_asks_shows_and_draws_on_every_python(tmp_path: Path, minor: str) -> None:
    python = embedded_interpreters()[minor]
    backend = "module://matplotlib_inline.backend_inline"
    *lines, report = run_cell(tmp_path, python, "ipywidgets", "matplotlib", backend=backend).splitlines()
    assert [line.replace(STEP_PREFIX, "> ") for line in lines] == [
        *("> input()", "colabenv: > a widget", "slider", "closed"),
        *("> a plot", "plot", "matplotlib inline", "plot"),
    ]
    result = json.loads(report)
    assert set(result.pop("seconds")) == {INPUT_STEP, WIDGET_STEP, PLOT_STEP}
    assert result == {"widget": "a1", "plots": 2}


def test_cell_tries_only_what_is_locked(tmp_path: Path) -> None:
    report = json.loads(run_cell(tmp_path, Path(sys.executable)).splitlines()[-1].removeprefix("colabenv: "))
    assert (set(report["seconds"]), report["widget"], report["plots"]) == ({INPUT_STEP}, "", 0)


def test_another_backend_is_not_expected_to_show_plots(tmp_path: Path) -> None:
    report = json.loads(
        run_cell(tmp_path, Path(sys.executable), "matplotlib", backend="agg").splitlines()[-1]
    )
    assert report["plots"] == 1


def test_changed_answer_is_an_error(tmp_path: Path) -> None:
    output = run_cell(tmp_path, Path(sys.executable), answer="y\u0308es")
    assert "AssertionError: the answer 'yes' arrived as" in output


def message(kind: str, **content: Any) -> dict[str, Any]:
    return {"msg_type": kind, "content": content}


def received(*, models: tuple[str, ...] = (), views: tuple[str, ...] = (), images: int = 0) -> CellOutput:
    """The output of a cell that sent these widgets and images."""
    output = CellOutput()
    for model in models:
        output.add(message("comm_open", target_name="jupyter.widget", comm_id=model))
    for view in views:
        data = {"application/vnd.jupyter.widget-view+json": {"model_id": view}, "text/plain": "IntSlider()"}
        output.add(message("display_data", data=data))
    for _ in range(images):
        output.add(message("display_data", data={"image/png": "iVBO", "text/plain": "<Figure>"}))
    return output


def test_output_is_collected() -> None:
    output = received(models=("a", "b"), views=("a",), images=2)
    output.add(message("comm_open", target_name="other", comm_id="c"))
    output.add(message("stream", name="stdout", text=f"first\n{STEP_PREFIX}a plot\nsecond\n"))
    output.add(message("display_data", data={REPORT_MIME: {"plots": 2}}))
    output.add(message("status", execution_state="idle"))
    assert output == CellOutput("first\nsecond\n", {"plots": 2}, "a plot", 2, {"a", "b"}, {"a"})
    assert is_page_step(output.step)
    assert not is_page_step("import tensorflow")


VERSIONS = {"matplotlib": "3.8.4", "matplotlib-inline": "0.1.7", "ipywidgets": "7.8.5", "pandas": "2.2.2"}


@pytest.mark.parametrize(
    ("report", "output"),
    [
        ({"widget": "", "plots": 0}, received()),
        ({"widget": "a", "plots": 2}, received(models=("a", "b"), views=("a",), images=2)),
        ({"widget": "a", "plots": 1}, received(models=("a", "b"), views=("a",), images=3)),
    ],
)
def test_everything_has_arrived(report: dict[str, Any], output: CellOutput) -> None:
    require_page_output(report, output, VERSIONS)


@pytest.mark.parametrize(
    ("report", "output", "error"),
    [
        ({"widget": "a", "plots": 0}, received(models=("a",)), "widgets do not work"),
        ({"widget": "a", "plots": 0}, received(views=("a",)), "widgets do not work"),
        ({"widget": "a", "plots": 0}, received(models=("b",), views=("b",)), "widgets do not work"),
        ({"widget": "", "plots": 2}, received(images=1), "plots do not work"),
        ({"widget": "", "plots": 1}, received(), "plots do not work"),
    ],
)
def test_what_has_not_arrived_is_an_error(report: dict[str, Any], output: CellOutput, error: str) -> None:
    output.text = "Warning: the formatter failed"
    with pytest.raises(CheckError, match=error) as caught:
        require_page_output(report, output, VERSIONS)
    assert caught.value.exit_code == 5
    assert caught.value.detail == "Warning: the formatter failed"


def test_errors_name_the_versions_and_the_remedy() -> None:
    old = {**VERSIONS, "matplotlib": "3.6.3", "matplotlib-inline": "0.2.2"}
    cases = [
        (
            PLOT_STEP,
            VERSIONS,
            ["matplotlib 3.8.4, matplotlib-inline 0.1.7.", "matplotlib matplotlib-inline."],
        ),
        (
            PLOT_STEP,
            old,
            ["matplotlib-inline 0.2.2 needs matplotlib 3.7 or newer for plots, and the lock has 3.6.3"],
        ),
        (
            PLOT_STEP,
            {**VERSIONS, "ipython": "9.18.1"},
            ["ipython 9.18.1 needs matplotlib 3.9", "--upgrade ipython."],
        ),
        (WIDGET_STEP, old, ["ipywidgets 7.8.5.", "colabenv lock PROFILE --upgrade ipywidgets."]),
        (INPUT_STEP, {"ipykernel": "6.17.1", **old}, ["ipykernel 6.17.1.", "--upgrade ipykernel."]),
    ]
    for step, versions, expected in cases:
        error = describe_page_failure(step, "ValueError: no", versions, "")
        assert error.message.endswith(" in its kernel: ValueError: no"), step
        assert [text for text in expected if text not in error.hint] == [], step
        assert "pandas" not in error.hint, step
