"""Checks of modules that Python and setuptools removed, and of missing wheels."""

from __future__ import annotations

from pathlib import Path

from colabenv.doctor.checks import diagnose
from colabenv.doctor.fixes import BUILTIN_LINES
from colabenv.doctor.installer_output import find_missing_wheels
from colabenv.doctor.model import ErrorReport, Facts
from colabenv.importers.name_usages import NameUsage
from support.doctor.facts import dist, facts, fix_arguments, only_finding, traceback


def test_missing_pkg_resources_installs_an_older_setuptools() -> None:
    board = dist("tensorboard", "2.19.0", "setuptools>=41.0.0")
    finding = only_finding(facts(board, dist("setuptools", "82.0.0")), "CE110")
    assert fix_arguments(finding) == ("setuptools<81,>=41.0.0",)
    assert diagnose(facts(board, dist("setuptools", "80.9.0"), extra_modules=("pkg_resources",))) == ()
    assert diagnose(facts(dist("tensorboard", "2.21.0"), dist("setuptools", "82.0.0"))) == ()
    error = traceback("ModuleNotFoundError: No module named 'pkg_resources'", "odd/__init__.py")
    finding = only_finding(facts(dist("odd", "1"), error=error), "CE110")
    assert finding.summary == "odd 1 imports pkg_resources, but setuptools is not installed."


def test_missing_distutils_installs_setuptools() -> None:
    error = traceback("ModuleNotFoundError: No module named 'distutils'", "odd/__init__.py")
    finding = only_finding(facts(dist("odd", "1"), python=(3, 12, 1), error=error), "CE111")
    assert fix_arguments(finding) == ("setuptools<81",)
    usages = (NameUsage("distutils.util", "cell 3, line 1", "import distutils.util"),)
    assert only_finding(facts(python=(3, 12, 1), usages=usages), "CE111").evidence == (
        "cell 3, line 1: import distutils.util",
    )
    assert diagnose(facts(python=(3, 11, 7), usages=usages)) == ()
    assert diagnose(facts(dist("setuptools", "80.9.0"), python=(3, 12, 1), usages=usages)) == ()


PIP = """\
Looking in indexes: …
ERROR: Could not find a version that satisfies the requirement {wanted} (from versions: {listed})
ERROR: No matching distribution found for {wanted}
"""
UV = """\
error: No solution found when resolving dependencies
  cause: Because tensorflow==2.15.0 has no wheels with a matching Python ABI tag (e.g., `cp312`) and you require \
tensorflow==2.15.0, we can conclude that your requirements are unsatisfiable.

hint: You require CPython 3.12 (`cp312`), but we only found wheels for `tensorflow` (v2.15.0) with the following \
Python ABI tags: `cp39`, `cp310`, `cp311`
"""
UV_FRAMED = """\
  × No solution found when resolving dependencies:
  ╰─▶ Because tensorflow==2.15.0 has no wheels with a matching Python ABI tag
      (e.g., `cp312`) and you require tensorflow==2.15.0, we can conclude that
      your requirements are unsatisfiable.
"""


def missing_wheels(text: str) -> tuple[ErrorReport, ...]:
    return tuple(find_missing_wheels(text, "the output"))


def test_missing_wheels_are_read_from_installer_output() -> None:
    for text, requirement in (
        (PIP.format(wanted="tensorflow==2.15.0", listed="2.16.1, 2.17.0"), "tensorflow==2.15.0"),
        (UV, "tensorflow==2.15.0"),
        (UV_FRAMED, "tensorflow==2.15.0"),
        ("ERROR: Package 'odd' requires a different Python: 3.12.1 not in '<3.12,>=3.9'\n", "odd"),
        (
            "ERROR: odd-1.0-cp38-cp38-linux_x86_64.whl is not a supported wheel on this platform.\n",
            "odd==1.0",
        ),
        ("\x1b[31mERROR: No matching distribution found for odd<2\x1b[0m\n", "odd<2"),
    ):
        assert [error.statement for error in missing_wheels(text)] == [requirement], text


def test_other_installer_output_is_ignored() -> None:
    for text in (
        "Successfully installed tensorflow-2.15.1\n",
        "error: No solution found when resolving dependencies\n  cause: Because a==1 depends on b>=2 and you require "
        "a==1 and b<2, we can conclude that your requirements are unsatisfiable.\n",
        "ERROR: Could not open requirements file\n",
    ):
        assert missing_wheels(text) == (), text


def test_framework_without_wheel_gets_builtin_profile() -> None:
    finding = only_finding(Facts(target="a test", python=(3, 12, 1), errors=missing_wheels(UV)), "CE112")
    assert finding.summary == "TensorFlow 2.15.0 has no wheel for Python 3.12."
    assert "3.9 to 3.11" in finding.explanation
    assert [(fix.action, fix.arguments) for fix in finding.fixes] == [("up", ("builtin:tf-2.15",))]


def test_framework_without_builtin_profile_gets_a_new_one() -> None:
    text = PIP.format(wanted="tensorflow<2.13", listed="2.16.1")
    finding = only_finding(Facts(target="a test", python=(3, 12, 1), errors=missing_wheels(text)), "CE112")
    assert finding.fixes[0].arguments == ("tf-2.12.yaml", '{name: tf-2.12, stack: {tensorflow: "2.12.1"}}')


def test_builtin_lines_are_the_builtin_profiles() -> None:
    folder = Path(__file__).parents[4] / "profiles"
    assert {f"tf-{line}" for line in BUILTIN_LINES} == {path.stem for path in folder.glob("tf-*.yaml")}


def test_other_package_without_wheel_gets_the_newest_listed_version() -> None:
    text = PIP.format(wanted="odd==1.0", listed="1.2, 2.0rc1, 1.10")
    finding = only_finding(Facts(target="a test", python=(3, 12, 1), errors=missing_wheels(text)), "CE112")
    assert fix_arguments(finding) == ("odd==1.10",)
