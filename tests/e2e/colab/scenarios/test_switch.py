"""An environment as the default kernel: it survives restarts, does not change the base, and never loses a session."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.colab import snapshot, steps
from support.colab.cell import CellResult
from support.colab.machine import ColabMachine
from support.colab.page import KernelDiedError, Page

pytestmark = [pytest.mark.slow, pytest.mark.network]

DIE = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"


@dataclass(frozen=True)
class Session:
    """A machine whose default kernel is the environment `lesson`.

    Attributes:
        machine: the machine.
        page: a notebook on the default kernel.
        prefix: the environment's folder, as a path inside the machine; `folder` is the path outside.
        done: the cell that built the environment and switched to it.
        before: a snapshot of the base before that.
        home_before: the files in the home before that, after one cell had run.
    """

    machine: ColabMachine
    page: Page
    prefix: str
    folder: Path
    done: CellResult
    before: dict[str, snapshot.Entry]
    home_before: set[str]

    @property
    def state(self) -> Path:
        """The folder of the switch's state."""
        return self.home / "switch"

    @property
    def home(self) -> Path:
        """COLABENV_HOME."""
        return self.machine.home / ".local/share/colabenv"

    def runs_inside(self) -> bool:
        """Whether the notebook's kernel runs in the environment and shows no notice."""
        try:
            return steps.run_and_read(self.page, f"import six\n{steps.WHERE}") == self.prefix
        except (AssertionError, KernelDiedError, TimeoutError):
            return False


def files_below(folder: Path) -> set[str]:
    """Relative paths of all files below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with ColabMachine(pythons=["3.11"]) as machine:
        page = machine.open("lesson.ipynb")
        assert steps.run_and_read(page, steps.WHERE) == str(machine.prefix)
        before, home_before = machine.snapshot(), files_below(machine.home)
        text = 'python: "3.11"\npackages: [six==1.16.0]\nverify: {imports: [six]}\n'
        done = steps.up(page, f"{steps.write_profile(machine, 'lesson', text)} --switch")
        page.restart_kernel()
        folder = steps.environment_folder(machine, "lesson")
        prefix = steps.path_inside(machine, folder)
        yield Session(machine, page, prefix, folder, done, before, home_before)


@pytest.fixture
def page(session: Session) -> Page:
    """The notebook in the environment. If a failed test has left it in another kernel, it is opened again."""
    if not session.runs_inside():
        for command in (["down", "lesson"], ["up", "lesson.yaml", "--switch"]):
            session.machine.run("python3", "-m", "colabenv", *command)
        session.page.shut_down()
        session.page.reload()
        assert session.runs_inside()
    return session.page


def test_up_explains_switching(session: Session) -> None:
    steps.assert_clean(session.done)
    lines = steps.result_lines(session.done)
    assert lines[0].startswith("✓ lesson is ready")
    assert lines[5].startswith(
        "✓ After Runtime > Restart session, and after every later restart, the default kernel"
    )
    assert "colabenv switch --base" in lines[7]


def test_only_the_reported_file_is_added(session: Session, page: Page) -> None:
    (added,) = snapshot.differences(session.before, session.machine.snapshot())
    file = session.machine.prefix / added.removeprefix("added: ")
    assert f"  added   {file} (" in session.done.screen
    assert file.stat().st_size < 1000
    colabenv_folders = (".local/share/colabenv/", ".local/share/jupyter/")
    added_files = files_below(session.machine.home) - session.home_before
    # IPython writes to every home; colabenv does not write to that folder.
    assert [path for path in added_files if not path.startswith((*colabenv_folders, ".ipython/"))] == []


def test_restart_session_starts_the_environment(session: Session, page: Page) -> None:
    page.run("x = 1")
    page.restart_kernel()
    assert page.run("x").status == "error"
    assert page.kernel_name == "python3"
    assert steps.run_and_read(page, steps.WHERE) == session.prefix
    assert steps.run_and_read(page, steps.KERNEL_CLASS) == steps.COLAB_KERNEL
    page.secrets = {"KEY": "s3cret"}
    assert (
        steps.run_and_read(page, "from google.colab import userdata\nprint(userdata.get('KEY'))") == "s3cret"
    )
    assert f" from {session.prefix}/lib/" in steps.run_and_read(page, "%pip --version")
    assert steps.run_and_read(page, "!python -c 'import sys; print(sys.prefix)'") == session.prefix


def test_up_and_status_inside_the_environment(page: Page) -> None:
    lines = steps.result_lines(steps.up(page, "lesson.yaml"))
    assert lines[0].startswith("✓ lesson is ready: nothing has changed")
    assert lines[1:] == ["This notebook already runs in it."]
    assert re.search(r"^lesson +ready ", steps.run_and_read(page, "!python -m colabenv status"), re.M)


def test_killed_kernel_restarts_in_the_environment(session: Session, page: Page) -> None:
    assert page.run(DIE).status == "dead"
    page.reload()
    assert page.states[-1] == "restarting"
    assert steps.run_and_read(page, steps.WHERE) == session.prefix


def test_second_notebook_runs_in_the_environment_too(session: Session, page: Page) -> None:
    second = session.machine.open("second.ipynb")
    assert second.kernel_name == "python3"
    assert steps.run_and_read(second, steps.WHERE) == session.prefix
    assert steps.run_and_read(page, steps.WHERE) == session.prefix
    second.shut_down()


def test_programs_outside_the_kernel_use_the_base(session: Session, page: Page) -> None:
    machine = session.machine
    text = "import sys, ipykernel, jupyter_server\nprint(sys.prefix, ipykernel.__version__, *sys.argv[1:])\n"
    (machine.content / "script.py").write_text(text)
    expected = {
        ("-c", "import sys; print(sys.prefix)"): f"{machine.prefix}\n",
        ("script.py", "-m", "ipykernel_launcher"): f"{machine.prefix} 6.17.1 -m ipykernel_launcher\n",
        ("-m", "script", "-f", "x.json"): f"{machine.prefix} 6.17.1 -f x.json\n",
    }
    for arguments, text in expected.items():
        done = machine.run("python3", *arguments)
        assert (done.returncode, done.stdout, done.stderr) == (0, text, "")


def test_switch_base_restores_colabs_kernel(session: Session, page: Page) -> None:
    output = steps.run_and_read(page, "!python -m colabenv switch --base")
    assert output.startswith(
        "✓ After Runtime > Restart session, the default kernel is the machine's own again"
    )
    page.restart_kernel()
    assert steps.run_and_read(page, steps.WHERE) == str(session.machine.prefix)
    assert snapshot.differences(session.before, session.machine.snapshot()) == []
    assert not session.state.exists()
    output = steps.run_and_read(page, "!python -m colabenv switch lesson")
    assert output.startswith(
        "✓ After Runtime > Restart session, and after every later restart, the default kernel"
    )
    page.restart_kernel()
    assert steps.run_and_read(page, steps.WHERE) == session.prefix


# Ways to break the environment of a session while its notebook runs in it.


def delete_folder(session: Session) -> None:
    shutil.rmtree(session.folder)


def replace_python(session: Session, text: str = "garbage") -> None:
    python = session.folder / "bin" / "python"
    python.unlink()  # it is a link to the machine's own Python
    python.write_text(text)
    python.chmod(0o755)


def make_python_crash(session: Session) -> None:
    replace_python(session, "#!/bin/sh\nkill -SEGV $$\n")


def remove_stamp(session: Session) -> None:
    (session.folder / "stamp.json").unlink()


def delete_module(name: str) -> Callable[[Session], None]:
    def break_it(session: Session) -> None:
        cell = f"import shutil, {name}\nshutil.rmtree({name}.__path__[0])\nprint('deleted')"
        assert steps.run_and_read(session.page, cell) == "deleted"

    return break_it


def assert_in_base_with_notice(session: Session, reason: str) -> str:
    """Check that cells run in the base and the first one shows a notice; returns the arguments of `up` in it."""
    notice, prefix = steps.run_and_read(session.page, steps.WHERE).rsplit("\n", 1)
    assert prefix == str(session.machine.prefix)
    first, second, fix, stay = notice.splitlines()
    assert first.startswith("colabenv: environment lesson did not start: ")
    assert second == "This notebook runs in Colab's own Python instead."
    assert re.search(reason, first), first
    assert stay.split(":", 1)[1].split() == ["!python", "-m", "colabenv", "switch", "--base"]
    assert steps.run_and_read(session.page, steps.WHERE) == str(session.machine.prefix)
    assert steps.run_and_read(session.page, steps.KERNEL_CLASS) == steps.COLAB_KERNEL
    match = re.search(r"To fix it: +!python -m colabenv up (\S+ --switch) +then restart the session", fix)
    assert match, fix
    return match[1]


def assert_fixed_by_up(session: Session, arguments: str = "lesson.yaml --switch") -> None:
    """Check that after `up` and a restart, the notebook runs in the environment and shows no notice."""
    done = steps.up(session.page, arguments)
    steps.assert_clean(done)
    session.page.restart_kernel()
    assert session.runs_inside(), done.screen


BROKEN: dict[str, tuple[Callable[[Session], None], str]] = {
    "its folder is deleted": (delete_folder, "its folder .*lesson.* is gone"),
    "its stamp is missing": (remove_stamp, r"its folder .* has no stamp\.json"),
    "its Python is garbage": (
        replace_python,
        r"its Python .*/bin/python does not start \(Exec format error\)",
    ),
    "ipykernel is deleted": (delete_module("ipykernel"), "its kernel could not start .*ipykernel"),
    "tornado is deleted": (delete_module("tornado"), "its kernel could not start .ImportError: "),
}
#: A cause that the launcher sees before it starts the kernel, and one that the kernel fails with.
DEFAULT = {"its folder is deleted", "tornado is deleted"}


@pytest.mark.parametrize(
    "damage",
    [damage if damage in DEFAULT else pytest.param(damage, marks=pytest.mark.extended) for damage in BROKEN],
)
def test_restart_session_falls_back_to_colabs_kernel(damage: str, session: Session, page: Page) -> None:
    break_it, reason = BROKEN[damage]
    break_it(session)
    page.restart_kernel()
    arguments = assert_in_base_with_notice(session, reason)
    assert_fixed_by_up(session, arguments)


def test_python_that_crashes_at_start_is_started_twice(session: Session, page: Page) -> None:
    reason = "its kernel died 2 times while it started"
    make_python_crash(session)
    start = len(session.machine.log())
    page.restart_kernel()
    assert_in_base_with_notice(session, reason)
    assert read_restart_counts(session, start) == ["1", "2"]
    # If the kernel dies later, it uses only one of the five attempts of the server's autorestarter.
    start = len(session.machine.log())
    assert page.run(DIE).status == "dead"
    page.reload()
    arguments = assert_in_base_with_notice(session, reason)
    assert len(read_restart_counts(session, start)) == 1
    assert "dead" not in page.states
    assert_fixed_by_up(session, arguments)


def read_restart_counts(session: Session, start: int) -> list[str]:
    """The numbers of restart attempts in the server's log after the position `start`."""
    return list(dict.fromkeys(re.findall(r"restarting kernel \((\d)/5\)", session.machine.log()[start:])))


@pytest.mark.parametrize("state", ["{garbage", pytest.param("{}", marks=pytest.mark.extended)])
def test_invalid_state_falls_back_to_colabs_kernel(session: Session, page: Page, state: str) -> None:
    (session.state / "state.json").write_text(state)
    page.restart_kernel()
    assert steps.run_and_read(page, steps.WHERE) == str(session.machine.prefix)
    assert_fixed_by_up(session)


def test_deleted_home_falls_back_to_colabs_kernel(session: Session, page: Page) -> None:
    shutil.rmtree(session.home)
    page.restart_kernel()
    assert steps.run_and_read(page, steps.WHERE) == str(session.machine.prefix)
    assert steps.run_and_read(page, steps.KERNEL_CLASS) == steps.COLAB_KERNEL
    assert_fixed_by_up(session)
