"""Install lines that break today, and those that do not."""

from __future__ import annotations

import dataclasses

import pytest

from colabenv.doctor.checks import diagnose
from colabenv.doctor.model import Distribution, ErrorReport, Facts, Finding, Fix, InstallRequest, NameUsage


def asking(
    *requirements: str, python: tuple[int, int, int] = (3, 12, 3), after: tuple[str, ...] = ()
) -> Facts:
    """A notebook with one install command, on a Python with TensorFlow of today."""
    line = f"pip install {' '.join(requirements)}"
    return Facts(
        "old.ipynb",
        python=python,
        distributions=(Distribution("tensorflow", "2.18.1"), Distribution("numpy", "2.0.2")),
        notebook="old.ipynb",
        install_requests=tuple(
            InstallRequest(one, "cell 1", line, imported_before=frozenset(after)) for one in requirements
        ),
    )


def found(facts: Facts) -> dict[str, Finding]:
    """By code, those about install lines."""
    return {one.code: one for one in diagnose(facts) if one.code.startswith("CE41")}


def test_a_release_without_wheels_for_this_python() -> None:
    (one,) = found(asking("tensorflow==2.8.0")).values()
    assert (one.code, one.fixes) == ("CE412", (Fix("init", ("old.ipynb",)),))
    assert "3.8 to 3.10" in one.explanation
    assert found(asking("tensorflow==2.8.0", python=(3, 10, 1))) == {}
    assert found(asking("tensorflow==2.18.*")) == {}
    assert found(asking("tensorflow>=2.8", "pandas==1.0")) == {}


def test_tensorflow_1_is_beyond_any_environment() -> None:
    (one,) = found(asking("tensorflow==1.15.2")).values()
    assert (one.code, one.fixes) == ("CE412", ())


def test_a_release_newer_than_the_table_is_let_be() -> None:
    assert found(asking("tensorflow==9.1")) == {}


@pytest.mark.parametrize(("text", "bad"), [("tensorflow-gpu", True), ("tensorflow-gpu==2.12.0", True)])
def test_the_empty_gpu_package(text: str, bad: bool) -> None:
    assert ("CE412" in found(asking(text))) == bad
    assert found(asking("tensorflow-gpu==2.10.0", python=(3, 10, 1))) == {}


def test_one_command_with_two_releases() -> None:
    (one,) = found(asking("numpy==1.21", "numpy==1.19")).values()
    assert one.code == "CE413"
    assert one.fixes == (Fix("edit", ("pip install numpy==1.21 numpy==1.19", "pip install numpy==1.19")),)
    assert found(asking("numpy==2.0.2", "pandas==1.19")) == {}


def test_pins_that_tensorflow_does_not_take() -> None:
    (one,) = found(asking("tensorflow==2.15.1", "keras==3.0.0", python=(3, 11, 1))).values()
    assert one.code == "CE413"
    assert any("requires keras" in line for line in one.evidence)
    assert found(asking("tensorflow==2.15.1", "keras==2.15.0", python=(3, 11, 1))) == {}


def test_an_install_below_the_import() -> None:
    (one,) = found(asking("numpy==1.26.4", after=("numpy", "os"))).values()
    assert (one.code, one.fixes) == ("CE414", (Fix("restart"),))
    assert found(asking("numpy==1.26.4")) == {}
    assert found(asking("numpy==2.0.2", after=("numpy",))) == {}
    assert found(asking("numpy", after=("numpy",))) == {}
    assert set(found(asking("numpy==1.26.4", "tensorflow==1.15", after=("numpy",)))) == {"CE412"}


def test_the_version_magic() -> None:
    usage = NameUsage("%tensorflow_version 1.x", "cell 1", "%tensorflow_version 1.x")
    (one,) = found(Facts("x", usages=(usage,))).values()
    assert one.code == "CE411"
    assert one.fixes == (Fix("edit", ("%tensorflow_version 1.x", "# %tensorflow_version 1.x")),)
    said = ErrorReport(
        "cell 1", "", "ValueError", "Tensorflow 1 is unsupported in Colab.\n\nYour…", is_local=False
    )
    (one,) = found(Facts("x", errors=(said,))).values()
    assert one.explains == ("cell 1",)
    assert found(Facts("x")) == {}


def test_what_is_no_requirement_is_passed_over() -> None:
    facts = dataclasses.replace(
        asking("numpy"), install_requests=(InstallRequest("==", "cell 1", "pip install =="),)
    )
    assert found(facts) == {}
