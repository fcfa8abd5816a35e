"""What is typed after `%colabenv`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from colabenv.errors import MachineError, UsageError
from colabenv.notebook.attach import Attachment
from colabenv.notebook.magics import Commands, load_ipython_extension, parse_up


class Notebook(Attachment):
    """A notebook that only notes what it is asked to do."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def attach(self, name: str) -> Any:
        self.asked.append(name)
        info = {"language_info": {"name": "python", "version": "3.10.1"}}
        return SimpleNamespace(name="demo", info=info, pid=7, alive=True)


def commands(kernel_name: str | None, seen: list[Any]) -> tuple[Commands, Notebook, list[str]]:
    said: list[str] = []

    def up(profile: str, **options: Any) -> Any:
        seen.append((profile, options))
        return SimpleNamespace(kernel_name=kernel_name)

    notebook = Notebook()
    return Commands(notebook, up=up, say=said.append), notebook, said


def test_up_builds_and_attaches() -> None:
    seen: list[Any] = []
    verbs, notebook, said = commands("colabenv-demo", seen)
    verbs.run("up 'my profile.yaml' --variant cpu --frozen")
    assert seen == [("my profile.yaml", {"variant": "cpu", "frozen": True})]
    assert notebook.asked == ["colabenv-demo"]
    assert said == [
        "From the next cell on, cells run in environment 'demo' (Python 3.10.1, process 7, running)."
    ]


@pytest.mark.parametrize(("line", "kernel"), [("--switch", "k"), ("", None)])
def test_up_does_not_attach_where_it_should_not(line: str, kernel: str | None) -> None:
    verbs, notebook, _ = commands(kernel, [])
    verbs.run(f"up p.yaml {line}")
    assert notebook.asked == []


def test_an_error_while_building_attaches_nothing() -> None:
    def up(profile: str, **options: Any) -> Any:
        raise MachineError("The disk is full.")

    notebook = Notebook()
    with pytest.raises(MachineError, match="disk"):
        Commands(notebook, up=up).run("up p.yaml")
    assert notebook.asked == []


def test_options_of_up() -> None:
    assert parse_up(["--switch", "p", "--variant=gpu"]) == ("p", {"switch": True, "variant": "gpu"})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("up", "up PROFILE"),
        ("up a b", "up PROFILE"),
        ("up a --nope", "--nope"),
        ("up a --frozen=1", "--frozen"),
        ("up a --variant", "needs a value"),
        ("attach", "attach NAME"),
        ("fly", "`%colabenv fly`"),
        ("up 'a", "cannot be read"),
    ],
)
def test_what_is_wrong_is_said(line: str, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("(", r"\(")):
        commands(None, [])[0].run(line)


def test_help_names_every_verb() -> None:
    verbs, _, said = commands(None, [])
    verbs.run("")
    for verb in ("up", "attach", "detach", "restart", "status", "%%base", "%%env"):
        assert verb in said[0]


def test_loading_outside_of_a_notebook_is_refused() -> None:
    with pytest.raises(UsageError, match="not a notebook"):
        load_ipython_extension(SimpleNamespace())
