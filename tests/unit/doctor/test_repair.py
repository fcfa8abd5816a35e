"""From findings to commands."""

from __future__ import annotations

import pytest

from colabenv.doctor import repair
from colabenv.doctor.model import Facts, Finding, Step

OWN = "/own/bin/python"
WITH_PIP = Facts(target="a test", executable="/env/bin/python", has_pip=True)
WITHOUT_PIP = Facts(target="a test", executable="/env/bin/python", has_pip=False)


def finding(*steps: Step) -> Finding:
    return Finding("CE101", "It is wrong.", ("it shows",), "It happens.", steps)


def planned(*steps: Step) -> list[Step]:
    return list(repair.plan([finding(step) for step in steps]))


def test_installations_are_one_run_of_the_installer() -> None:
    assert planned(Step("install", ("a>=2",)), Step("install", ("b", "c"))) == [
        Step("install", ("a>=2", "b", "c"))
    ]


def test_two_ranges_of_one_distribution_are_one() -> None:
    (step,) = planned(
        Step("install", ("numpy<2",)), Step("install", ("NumPy>=1.23",)), Step("install", ("numpy",))
    )
    assert step.arguments == ("numpy<2,>=1.23",)


def test_of_two_that_contradict_each_other_the_first_counts() -> None:
    assert planned(Step("install", ("a<2",)), Step("install", ("a>=2",))) == [Step("install", ("a<2",))]


def test_what_is_written_anew_is_not_installed_as_well() -> None:
    assert planned(Step("install", ("a<2",)), Step("reinstall", ("a==1.5",))) == [
        Step("reinstall", ("a==1.5",))
    ]


def test_steps_are_carried_out_in_an_order_that_works() -> None:
    steps = planned(
        Step("restart"), Step("install", ("a",)), Step("uninstall", ("b",)), Step("delete", ("/x",))
    )
    assert [step.action for step in steps] == ["delete", "uninstall", "install", "restart"]


@pytest.mark.parametrize(
    ("step", "facts", "expected"),
    [
        (Step("install", ("a<2",)), WITH_PIP, "/env/bin/python -m pip install 'a<2'"),
        (
            Step("install", ("a<2",)),
            WITHOUT_PIP,
            "/own/bin/python -m uv pip install --python /env/bin/python 'a<2'",
        ),
        (Step("uninstall", ("a",)), WITH_PIP, "/env/bin/python -m pip uninstall -y a"),
        (Step("unset", ("PYTHONPATH",)), WITH_PIP, "unset PYTHONPATH"),
        (Step("up", ("builtin:tf-2.15",)), WITH_PIP, "python -m colabenv up builtin:tf-2.15"),
        (
            Step("up", ("a.yaml", '{name: a, stack: {torch: "2.0"}}')),
            WITH_PIP,
            "echo '{name: a, stack: {torch: \"2.0\"}}' > a.yaml && python -m colabenv up a.yaml",
        ),
    ],
)
def test_a_step_as_a_person_types_it(step: Step, facts: Facts, expected: str) -> None:
    assert repair.command(step, facts, OWN, cell=False) == expected
    if step.action != "unset":
        assert repair.command(step, facts, OWN, cell=True) == f"!{expected}"


def test_only_a_person_can_restart_a_session() -> None:
    assert repair.argv(Step("restart"), WITH_PIP, OWN) is None
    assert "Restart session" in repair.command(Step("restart"), WITH_PIP, OWN, cell=True)
