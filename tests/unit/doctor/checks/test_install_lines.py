"""Checks of install lines in a notebook."""

from __future__ import annotations

import dataclasses

from colabenv.doctor.checks import diagnose
from colabenv.doctor.model import Distribution, ErrorReport, Facts, Finding, Fix, InstallRequest
from colabenv.importers.name_usages import NameUsage


def make_facts(
    *requirements: str, python: tuple[int, int, int] = (3, 12, 3), imported: tuple[str, ...] = ()
) -> Facts:
    """Return the facts of a notebook with one install command and TensorFlow 2.18.

    Args:
        requirements: what the command installs.
        python: the version of Python.
        imported: the modules that cells before the command import.
    """
    line = f"pip install {' '.join(requirements)}"
    return Facts(
        "old.ipynb",
        python=python,
        distributions=(Distribution("tensorflow", "2.18.1"), Distribution("numpy", "2.0.2")),
        notebook="old.ipynb",
        install_requests=tuple(
            InstallRequest(requirement, "cell 1", line, imported_before=frozenset(imported))
            for requirement in requirements
        ),
    )


def find_install_findings(facts: Facts) -> dict[str, Finding]:
    """Return the findings about install lines by their code."""
    return {finding.code: finding for finding in diagnose(facts) if finding.code.startswith("CE41")}


def test_release_without_wheels_for_this_python_is_reported() -> None:
    (finding,) = find_install_findings(make_facts("tensorflow==2.8.0")).values()
    assert (finding.code, finding.fixes) == ("CE412", (Fix("init", ("old.ipynb",)),))
    assert "3.7 to 3.10" in finding.explanation
    assert find_install_findings(make_facts("tensorflow==2.8.0", python=(3, 10, 1))) == {}
    assert find_install_findings(make_facts("tensorflow==2.18.*")) == {}
    assert find_install_findings(make_facts("tensorflow>=2.8", "pandas==1.0")) == {}


def test_tensorflow_1_needs_an_environment() -> None:
    (finding,) = find_install_findings(make_facts("tensorflow==1.15.2")).values()
    assert (finding.code, finding.fixes) == ("CE412", (Fix("init", ("old.ipynb",)),))
    assert "Python 3.7;" in finding.explanation


def test_tensorflow_older_than_the_table_has_no_fix() -> None:
    (finding,) = find_install_findings(make_facts("tensorflow==1.12.0")).values()
    assert (finding.code, finding.fixes) == ("CE412", ())


def test_unknown_new_release_is_not_reported() -> None:
    assert find_install_findings(make_facts("tensorflow==9.1")) == {}


def test_empty_tensorflow_gpu_is_reported() -> None:
    assert "CE412" in find_install_findings(make_facts("tensorflow-gpu"))
    assert "CE412" in find_install_findings(make_facts("tensorflow-gpu==2.12.0"))
    assert find_install_findings(make_facts("tensorflow-gpu==2.10.0", python=(3, 10, 1))) == {}


def test_two_pins_in_one_command_are_reported() -> None:
    (finding,) = find_install_findings(make_facts("numpy==1.21", "numpy==1.19")).values()
    assert finding.code == "CE413"
    assert finding.fixes == (Fix("edit", ("pip install numpy==1.21 numpy==1.19", "pip install numpy==1.19")),)
    assert find_install_findings(make_facts("numpy==2.0.2", "pandas==1.19")) == {}


def test_pin_that_tensorflow_excludes_is_reported() -> None:
    (finding,) = find_install_findings(
        make_facts("tensorflow==2.15.1", "keras==3.0.0", python=(3, 11, 1))
    ).values()
    assert finding.code == "CE413"
    assert any("requires keras" in line for line in finding.evidence)
    assert find_install_findings(make_facts("tensorflow==2.15.1", "keras==2.15.0", python=(3, 11, 1))) == {}


def test_install_after_the_import_needs_a_restart() -> None:
    (finding,) = find_install_findings(make_facts("numpy==1.26.4", imported=("numpy", "os"))).values()
    assert (finding.code, finding.fixes) == ("CE414", (Fix("restart"),))
    assert find_install_findings(make_facts("numpy==1.26.4")) == {}
    assert find_install_findings(make_facts("numpy==2.0.2", imported=("numpy",))) == {}
    assert find_install_findings(make_facts("numpy", imported=("numpy",))) == {}
    assert set(
        find_install_findings(make_facts("numpy==1.26.4", "tensorflow==1.12", imported=("numpy",)))
    ) == {"CE412"}


def test_version_magic_is_commented_out() -> None:
    usage = NameUsage("%tensorflow_version 1.x", "cell 1", "%tensorflow_version 1.x")
    (finding,) = find_install_findings(Facts("x", usages=(usage,))).values()
    assert finding.code == "CE411"
    assert finding.fixes == (Fix("edit", ("%tensorflow_version 1.x", "# %tensorflow_version 1.x")),)
    error = ErrorReport(
        "cell 1", "", "ValueError", "Tensorflow 1 is unsupported in Colab.\n\nYour…", is_local=False
    )
    (finding,) = find_install_findings(Facts("x", errors=(error,))).values()
    assert finding.explains == ("cell 1",)
    assert find_install_findings(Facts("x")) == {}


def test_invalid_requirement_is_skipped() -> None:
    facts = dataclasses.replace(
        make_facts("numpy"), install_requests=(InstallRequest("==", "cell 1", "pip install =="),)
    )
    assert find_install_findings(facts) == {}
