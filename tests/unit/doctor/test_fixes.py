"""The plan of fixes for findings, and the commands of fixes."""

from __future__ import annotations

from colabenv.doctor import fixes
from colabenv.doctor.model import Facts, Finding, Fix

COLABENV_PYTHON = "/own/bin/python"
WITH_PIP = Facts(target="a test", executable="/env/bin/python", has_pip=True)
WITHOUT_PIP = Facts(target="a test", executable="/env/bin/python", has_pip=False)


def plan(*steps: Fix) -> list[Fix]:
    """Plan the fixes of findings that have one fix each."""
    findings = [Finding("Summary.", ("evidence",), "Explanation.", (step,)) for step in steps]
    return list(fixes.plan_fixes(findings))


def test_installs_are_merged() -> None:
    assert plan(Fix("install", ("a>=2",)), Fix("install", ("b", "c"))) == [Fix("install", ("a>=2", "b", "c"))]


def test_ranges_of_one_distribution_are_combined() -> None:
    (step,) = plan(Fix("install", ("numpy<2",)), Fix("install", ("NumPy>=1.23",)), Fix("install", ("numpy",)))
    assert step.arguments == ("numpy<2,>=1.23",)


def test_first_of_two_contradicting_ranges_is_used() -> None:
    assert plan(Fix("install", ("a<2",)), Fix("install", ("a>=2",))) == [Fix("install", ("a<2",))]


def test_reinstalled_distributions_are_not_installed_again() -> None:
    assert plan(Fix("install", ("a<2",)), Fix("reinstall", ("a==1.5",))) == [Fix("reinstall", ("a==1.5",))]


def test_fixes_are_ordered() -> None:
    steps = plan(Fix("restart"), Fix("install", ("a",)), Fix("uninstall", ("b",)), Fix("delete", ("/x",)))
    assert [step.action for step in steps] == ["delete", "uninstall", "install", "restart"]


def test_command_of_a_fix() -> None:
    for step, facts, expected in (
        (Fix("install", ("a<2",)), WITH_PIP, "/env/bin/python -m pip install 'a<2'"),
        (
            Fix("install", ("a<2",)),
            WITHOUT_PIP,
            "/own/bin/python -m uv pip install --python /env/bin/python 'a<2'",
        ),
        (Fix("uninstall", ("a",)), WITH_PIP, "/env/bin/python -m pip uninstall -y a"),
        (Fix("unset", ("PYTHONPATH",)), WITH_PIP, "unset PYTHONPATH"),
        (Fix("up", ("builtin:tf-2.15",)), WITH_PIP, "python -m colabenv up builtin:tf-2.15"),
        (
            Fix("up", ("a.yaml", '{name: a, stack: {torch: "2.0"}}')),
            WITH_PIP,
            "echo '{name: a, stack: {torch: \"2.0\"}}' > a.yaml && python -m colabenv up a.yaml",
        ),
    ):
        assert fixes.describe_fix(step, facts, COLABENV_PYTHON, cell=False) == expected
        if step.action != "unset":
            assert fixes.describe_fix(step, facts, COLABENV_PYTHON, cell=True) == f"!{expected}"


def test_restart_has_no_command() -> None:
    assert fixes.fix_argv(Fix("restart"), WITH_PIP, COLABENV_PYTHON) is None
    assert "Restart session" in fixes.describe_fix(Fix("restart"), WITH_PIP, COLABENV_PYTHON, cell=True)
