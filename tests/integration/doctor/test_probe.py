"""The doctor's probe in real interpreters from CPython 3.6 on, and in interpreters that do not start."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from colabenv.doctor.checks import diagnose
from colabenv.doctor.examination import examine
from colabenv.doctor.facts import Target, gather_facts
from colabenv.doctor.inputs import DoctorInputs
from colabenv.doctor.targets import session_target
from colabenv.embedded.environ import remove_leaks
from colabenv.system.process import SystemRunner
from colabenv.system.workspace import Workspace
from support.pythons import MINORS, find_cpython


def target_of(python: Path, cwd: Path, **variables: str) -> Target:
    return Target(
        str(python), "interpreter", str(python), {**remove_leaks(os.environ), **variables}, str(cwd)
    )


@pytest.mark.parametrize("minor", ["3.6", "3.7", *MINORS])
def test_probe_of_each_interpreter(minor: str, tmp_path: Path) -> None:
    python = find_cpython(minor)
    if python is None:
        pytest.skip(f"no CPython {minor} on this machine")
    facts = gather_facts(target_of(python, tmp_path), SystemRunner())
    assert facts.start_error == ""
    assert ".".join(map(str, facts.python[:2])) == minor
    assert {"sys", "encodings"} <= facts.preloaded
    assert {"random", "json", "csv"} <= set(facts.modules) & facts.standard_modules
    assert {finding.code[:3] for finding in diagnose(facts)} & {"CE2", "CE3", "CE5"} == set()


def test_folder_name_that_is_not_utf_8(tmp_path: Path) -> None:
    python = find_cpython("3.6") or find_cpython("3.11")
    assert python is not None
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/w\xff\xe9"))
    folder.mkdir()
    (folder / "random.py").write_text("")
    findings = diagnose(gather_facts(target_of(python, folder, LC_ALL="C"), SystemRunner()))
    assert [finding.code for finding in findings] == ["CE304"]
    "".join(findings[0].evidence).encode()  # does not raise: the text can be printed


def test_interpreter_that_hangs_at_startup(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nsleep 600\n")
    python.chmod(0o755)
    facts = gather_facts(target_of(python, tmp_path), SystemRunner(), limit=1.0)
    assert facts.start_error
    assert [finding.code for finding in diagnose(facts)] == ["CE501"]


@pytest.mark.parametrize(
    "content",
    ["#!/bin/sh\necho hello\n", "#!/bin/sh\nkill -SEGV $$\n", "not a program"],
    ids=["other program", "crash", "text"],
)
def test_programs_that_are_not_python(content: str, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(content)
    python.chmod(0o755)
    facts = gather_facts(target_of(python, tmp_path), SystemRunner())
    assert facts.start_error
    assert [finding.code for finding in diagnose(facts)] == ["CE501"]


def test_conda_base_is_not_an_environment(tmp_path: Path) -> None:
    """Conda's base has programs, `activate` and packages in one folder, and no pyvenv.cfg."""
    python = tmp_path / "bin" / "python"
    (tmp_path / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    python.parent.mkdir()
    (python.parent / "activate").touch()
    real = find_cpython("3.11")
    assert real is not None
    # This program reports the folder as its prefix, as an interpreter that is not a link does.
    python.write_text(
        f'#!/bin/sh\nexec {real} -c \'import sys; sys.prefix = sys.base_prefix = "{tmp_path}"; '
        f"sys.stdout.write(ascii([sys.path, sys.prefix, sys.base_prefix, [*sys.modules]]))'\n"
    )
    python.chmod(0o755)
    assert gather_facts(target_of(python, tmp_path), SystemRunner()).lost_environment == ""


@pytest.mark.parametrize(("host", "codes"), [("colab", []), ("jupyter", ["CE212"])])
def test_version_conflict_that_colab_ships_is_reported_only_elsewhere(
    tmp_path: Path, host: str, codes: list[str]
) -> None:
    python = find_cpython("3.11")
    assert python is not None
    for name, version, requires in (
        ("torch", "2.6.0+cu124", "Requires-Dist: nvidia-cudnn-cu12==9.1.0.70\n"),
        ("nvidia-cudnn-cu12", "9.3.0.75", ""),
    ):
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}")
    target = session_target({**remove_leaks(os.environ), "PYTHONPATH": str(tmp_path)}, host)
    target = dataclasses.replace(target, python=str(python))
    workspace = Workspace({**os.environ, "COLABENV_HOME": str(tmp_path / "home")})
    diagnosis = examine(target, DoctorInputs(), workspace, (), quick=True)
    assert [finding.code for finding in diagnosis.findings] == codes
