"""Finding Python interpreters: real ones, fake ones with recorded answers, and programs that are not Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from colabenv.errors import InterpreterError
from colabenv.host.interpreters import Interpreter, find_interpreter, iterate_candidates, matches_version
from colabenv.system.process import CompletedProcess, SystemRunner
from support.pythons import interpreters
from support.runner import RecordedRunner

NOWHERE = Path("/nowhere/pythons")
# A minor version that no machine has, so that only the tests' own files are found.
MINOR = "3.77"
RUNNING_MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"


def write_program(path: Path, text: str = "#!/bin/sh\nexit 0\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def answer(
    path: Path, version: object = f"{MINOR}.1", **changed: object
) -> tuple[tuple[str, ...], CompletedProcess]:
    facts = {
        "version": version,
        "implementation": "cpython",
        "executable": str(path),
        "prefix": "/usr",
        "venv": False,
        "missing": [],
        "free_threaded": False,
    }
    return (str(path),), CompletedProcess((), 0, json.dumps({**facts, **changed}))


def find_python(
    folder: Path,
    *answers: tuple[tuple[str, ...], CompletedProcess],
    wanted: str = MINOR,
    path: str = "",
    **environ: str,
) -> tuple[Interpreter, RecordedRunner]:
    runner = RecordedRunner(answers)
    variables = {"PATH": path, "HOME": str(folder), **environ}
    return find_interpreter(
        wanted, environ=variables, runner=runner, pythons=folder / "pythons", download=refuse_download
    ), runner


def refuse_download(version: str) -> Path:
    raise InterpreterError(f"asked to download {version}", hint="x")


def test_interpreter_on_path_is_used(tmp_path: Path) -> None:
    python = write_program(tmp_path / "bin" / f"python{MINOR}")
    interpreter, runner = find_python(tmp_path, answer(python), path=str(python.parent))
    assert interpreter == Interpreter(python, f"{MINOR}.1", "on PATH")
    assert interpreter.minor == MINOR
    argv, _ = runner.calls[0]
    assert argv[:3] == (str(python), "-I", "-c")


def test_candidates_do_not_inherit_python_variables(tmp_path: Path) -> None:
    python = write_program(tmp_path / "bin" / f"python{MINOR}")
    _, runner = find_python(
        tmp_path, answer(python), path=str(python.parent), PYTHONHOME="/x", PYTHONPATH="/y", LANG="C"
    )
    assert not {"PYTHONHOME", "PYTHONPATH"} & set(runner.calls[0][1])
    assert runner.calls[0][1]["LANG"] == "C"


def test_candidates_are_listed_from_path_then_pyenv_then_downloads(tmp_path: Path) -> None:
    on_path = write_program(tmp_path / "bin" / f"python{MINOR}")
    names = [f"{MINOR}.2", f"{MINOR}.10", f"{MINOR}.9"]
    pyenv = [
        write_program(tmp_path / ".pyenv" / "versions" / name / "bin" / f"python{MINOR}") for name in names
    ]
    own = write_program(tmp_path / "pythons" / f"cpython-{MINOR}.3-linux" / "bin" / f"python{MINOR}")
    from_uv = write_program(
        tmp_path / ".local/share/uv/python" / f"cpython-{MINOR}.4-linux" / "bin" / f"python{MINOR}"
    )
    environ = {"PATH": f"{tmp_path / 'bin'}::/no/such", "HOME": str(tmp_path)}
    candidates = list(iterate_candidates(MINOR, environ, tmp_path / "pythons"))
    assert candidates == [
        (on_path, "on PATH"),
        (pyenv[1], "pyenv"),
        (pyenv[2], "pyenv"),
        (pyenv[0], "pyenv"),
        (own, "downloaded by uv"),
        (from_uv, "downloaded by uv"),
    ]


def test_pyenv_root_and_data_home_are_respected(tmp_path: Path) -> None:
    pyenv = write_program(tmp_path / "p" / "versions" / f"{MINOR}.2" / "bin" / f"python{MINOR}")
    from_uv = write_program(
        tmp_path / "d" / "uv" / "python" / f"cpython-{MINOR}.4-linux" / "bin" / f"python{MINOR}"
    )
    environ = {"PATH": "", "PYENV_ROOT": str(tmp_path / "p"), "XDG_DATA_HOME": str(tmp_path / "d")}
    assert [path for path, _ in iterate_candidates(MINOR, environ, NOWHERE)] == [pyenv, from_uv]


def test_full_version_matches_exactly(tmp_path: Path) -> None:
    first = write_program(tmp_path / "a" / f"python{MINOR}")
    second = write_program(tmp_path / "b" / f"python{MINOR}")
    answers = answer(first, f"{MINOR}.1"), answer(second, f"{MINOR}.12")
    path = f"{first.parent}:{second.parent}"
    assert find_python(tmp_path, *answers, wanted=f"{MINOR}.12", path=path)[0].path == second
    assert find_python(tmp_path, *answers, wanted=MINOR, path=path)[0].path == first


def test_versions_match_by_their_parts() -> None:
    matches = {
        ("3.10.13", "3.10"): True,
        ("3.10.13", "3.10.13"): True,
        ("3.10.13", "3.10.1"): False,
        ("3.10.13", "3.1"): False,
        ("3.13.0", "3.13"): True,
        ("3.1.0", "3.10"): False,
    }
    assert {versions: matches_version(*versions) for versions in matches} == matches


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"missing": ["ssl", "lzma"]}, "was built without ssl, lzma"),
        ({"free_threaded": True}, "is cpython, free-threaded"),
        ({"implementation": "pypy"}, "is pypy"),
        ({"venv": True, "prefix": "/no/such/base"}, "belongs to a virtual environment whose Python is gone"),
    ],
)
def test_unusable_interpreter_is_skipped_with_a_reason(
    tmp_path: Path, changed: dict[str, object], reason: str
) -> None:
    bad = write_program(tmp_path / "bad" / f"python{MINOR}")
    good = write_program(tmp_path / "good" / f"python{MINOR}")
    path = f"{bad.parent}:{good.parent}"
    interpreter, _ = find_python(tmp_path, answer(bad, **changed), answer(good), path=path)
    assert interpreter.path == good
    with pytest.raises(InterpreterError) as caught:
        find_interpreter(
            MINOR,
            environ={"PATH": str(bad.parent), "HOME": str(tmp_path)},
            runner=RecordedRunner([answer(bad, **changed)]),
            pythons=NOWHERE,
            download=None,
        )
    assert f"{bad} {reason}" in caught.value.detail
    assert f"Install Python {MINOR}" in caught.value.hint


@pytest.mark.parametrize(
    "result",
    [
        CompletedProcess((), 127, "", "pyenv: python3.77: command not found"),
        CompletedProcess((), -9, ""),
        CompletedProcess((), 0, "not json"),
        CompletedProcess((), 0, "[1]"),
    ],
)
def test_broken_shim_is_skipped(tmp_path: Path, result: CompletedProcess) -> None:
    shim = write_program(tmp_path / "shims" / f"python{MINOR}")
    good = write_program(tmp_path / "good" / f"python{MINOR}")
    interpreter, _ = find_python(
        tmp_path, ((str(shim),), result), answer(good), path=f"{shim.parent}:{good.parent}"
    )
    assert interpreter.path == good


def test_same_python_under_two_names_is_queried_once(tmp_path: Path) -> None:
    python = write_program(tmp_path / "bin" / f"python{MINOR}")
    (tmp_path / "bin" / "python3").symlink_to(python)
    other = write_program(tmp_path / "good" / f"python{MINOR}")
    _, runner = find_python(
        tmp_path, answer(python, missing=["ssl"]), answer(other), path=f"{python.parent}:{other.parent}"
    )
    assert [argv[0] for argv, _ in runner.calls] == [str(python), str(other)]


def test_python_is_downloaded_only_if_none_is_installed(tmp_path: Path) -> None:
    downloaded = write_program(tmp_path / "downloaded" / "python")
    downloads: list[str] = []

    def download(version: str) -> Path:
        downloads.append(version)
        return downloaded

    def run(path: str, *answers: tuple[tuple[str, ...], CompletedProcess]) -> Interpreter:
        environ = {"PATH": path, "HOME": str(tmp_path)}
        return find_interpreter(
            MINOR, environ=environ, runner=RecordedRunner(answers), pythons=NOWHERE, download=download
        )

    installed = write_program(tmp_path / "bin" / f"python{MINOR}")
    assert run(str(installed.parent), answer(installed)).path == installed
    assert downloads == []
    assert run("", answer(downloaded)) == Interpreter(downloaded, f"{MINOR}.1", "downloaded by uv")
    assert downloads == [MINOR]
    with pytest.raises(InterpreterError, match=r"cannot be used: it was built without ssl\."):
        run("", answer(downloaded, missing=["ssl"]))


def test_error_if_nothing_can_be_downloaded(tmp_path: Path) -> None:
    with pytest.raises(InterpreterError, match=r"Python 3\.77 is not installed here") as caught:
        find_interpreter(
            MINOR, environ={"PATH": ""}, runner=RecordedRunner(), pythons=tmp_path, download=None
        )
    assert "unset COLABENV_INSTALLER" in caught.value.hint


def find_real_python(wanted: str, path: str, folder: Path) -> Interpreter:
    environ = {"PATH": path, "HOME": str(folder)}
    return find_interpreter(
        wanted, environ=environ, runner=SystemRunner(), pythons=folder, download=refuse_download
    )


@pytest.mark.parametrize("minor", sorted(interpreters()))
def test_every_real_python_of_this_machine_is_found(tmp_path: Path, minor: str) -> None:
    python = interpreters()[minor]
    interpreter = find_real_python(minor, str(python.parent), tmp_path)
    assert interpreter.minor == minor
    result = subprocess.run([interpreter.path, "-V"], capture_output=True, text=True, check=True)
    assert result.stdout.split()[1] == interpreter.version


def test_virtual_environment_resolves_to_its_base_python(tmp_path: Path) -> None:
    others = [(minor, python) for minor, python in interpreters().items() if minor != RUNNING_MINOR]
    if not others:
        pytest.skip("this machine has only one Python")
    minor, python = others[0]
    subprocess.run([python, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    interpreter = find_real_python(minor, str(tmp_path / "venv" / "bin"), tmp_path)
    assert not interpreter.path.is_relative_to(tmp_path)
    assert interpreter.minor == minor
    code = "import sys; print(sys.prefix == sys.base_prefix)"
    result = subprocess.run([interpreter.path, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "True\n"


def test_program_that_is_not_python_is_skipped(tmp_path: Path) -> None:
    minor, python = next(iter(interpreters().items()))
    write_program(tmp_path / "shims" / f"python{minor}", "#!/bin/sh\necho 'pyenv: not found' >&2\nexit 127\n")
    os.symlink("/bin/echo", tmp_path / "shims" / "python3")  # noqa: PTH211
    interpreter = find_real_python(minor, f"{tmp_path / 'shims'}:{python.parent}", tmp_path)
    assert not interpreter.path.is_relative_to(tmp_path)


def test_base_of_the_python_that_runs_colabenv_is_the_first_candidate(tmp_path: Path) -> None:
    path, origin = next(iterate_candidates(RUNNING_MINOR, {"PATH": ""}, tmp_path))
    assert origin == "the Python that runs colabenv"
    assert path == Path(getattr(sys, "_base_executable", sys.executable))
