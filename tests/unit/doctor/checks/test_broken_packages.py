"""Checks of broken packages and of interpreters that do not start."""

from __future__ import annotations

import dataclasses

import pytest

from colabenv.doctor.checks import broken_packages, startup
from colabenv.doctor.checks.registry import RANKS, RULES, Rule, run_rules
from colabenv.doctor.distributions import exact_requirement, is_import_file
from colabenv.doctor.model import Distribution, ErrorReport, Finding, Fix, ModuleLocation
from support.doctor.facts import SITE, dist, facts

WHOLE = facts(
    dist("idna"), dist("six", missing=("../../../bin/six", "tests/test_six.py", "six/__pycache__/x.pyc"))
)


def test_complete_environment_has_no_finding() -> None:
    checks = (
        *(
            broken_packages.find_missing_files,
            broken_packages.find_damaged_files,
            broken_packages.find_foreign_wheels,
            broken_packages.find_partial_metadata,
            broken_packages.find_missing_records,
        ),
        *(
            broken_packages.find_two_versions,
            broken_packages.find_pip_leftovers,
            startup.find_failed_start,
            startup.find_missing_pyvenv,
            startup.find_failing_startup_files,
        ),
    )
    assert [finding for check in checks for finding in check(WHOLE)] == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("idna/core.py", True),
        ("torch/lib/libtorch.so", True),
        ("nvidia/cudnn/lib/libcudnn.so.9", True),
        ("certifi/cacert.pem", True),
        ("six.py", True),
        ("keras/testing/test_case.py", True),
        ("numpy/core/tests/test_api.py", False),
        ("tests/__init__.py", False),
        ("../../../bin/tensorboard", False),
        ("/usr/share/man/x.py", False),
        ("idna-3.10.dist-info/direct.py", False),
        ("torch/include/ATen/ATen.h", False),
        ("idna/py.typed", False),
    ],
)
def test_is_import_file(path: str, expected: bool) -> None:
    assert is_import_file(path) is expected


def test_missing_modules() -> None:
    lost = dist("idna", "3.10", missing=("idna/core.py", "tests/x.py"))
    complaint = ErrorReport(
        "import idna", "import idna", "ImportError", "", text=f'File "{SITE}/idna/__init__.py"'
    )
    findings = list(broken_packages.find_missing_files(facts(lost, errors=(complaint,))))
    assert [finding.code for finding in findings] == ["CE503"]
    assert "idna/core.py" in findings[0].evidence[0]
    assert "tests/x.py" not in findings[0].evidence[0]
    assert findings[0].fixes == (Fix("reinstall", ("idna==3.10",)),)
    assert findings[0].explains == ("import idna",)


def test_all_files_missing() -> None:
    lost = dist("idna", missing=tuple(f"idna/{number}.py" for number in range(10)))
    (finding,) = broken_packages.find_missing_files(facts(lost))
    assert "all of its files are missing" in finding.summary
    assert "and 7 more" in finding.evidence[0]


def test_damaged_and_edited_files() -> None:
    altered = (("idna/core.py", 12663, 0), ("idna/x.so", 9000, 100))
    bad = dist("idna", altered=altered, damaged=(("idna/core.py", "empty"), ("idna/x.so", "truncated")))
    (finding,) = broken_packages.find_damaged_files(facts(bad))
    assert finding.evidence == (
        f"{SITE}/idna/core.py is empty: 0 bytes instead of 12663",
        f"{SITE}/idna/x.so is truncated: 100 bytes instead of 9000",
    )
    assert list(broken_packages.find_damaged_files(facts(dist("idna", altered=altered)))) == []


def test_file_of_another_package_is_not_damaged() -> None:
    from colabenv.doctor.model import Overlap

    bad = dist("idna", damaged=(("idna/core.py", "empty"),))
    other = Overlap(f"{SITE}/idna/core.py", ("idna", "other"), ("other",), hashed=True)
    assert list(broken_packages.find_damaged_files(facts(bad, overlaps=(other,)))) == []


@pytest.mark.parametrize(
    ("extension", "tag", "is_foreign"),
    [
        ("cpython-310-x86_64-linux-gnu", "cp310-cp310-manylinux_2_17_x86_64", True),
        ("cpython-311-aarch64-linux-gnu", "cp311-cp311-manylinux_2_17_aarch64", True),
        ("cpython-311-darwin", "cp311-cp311-macosx_11_0_arm64", True),
        ("cp311-win_amd64", "cp311-cp311-win_amd64", True),
        ("cpython-311-x86_64-linux-gnu", "cp311-cp311-manylinux_2_17_x86_64", False),
        ("abi3", "cp38-abi3-manylinux_2_17_x86_64", False),
        # Compiled modules for others beside pure Python, and a build whose names say less than its tag.
        ("cpython-310-x86_64-linux-gnu", "py3-none-any", False),
        ("cpython-310-x86_64-linux-gnu", "cp39-abi3-linux_x86_64", False),
    ],
)
def test_wheel_for_another_python_or_platform(extension: str, tag: str, is_foreign: bool) -> None:
    findings = list(
        broken_packages.find_foreign_wheels(facts(dist("yaml", extensions=(extension,), tags=(tag,))))
    )
    assert [finding.code for finding in findings] == ["CE505"] * is_foreign
    if is_foreign:
        assert extension in findings[0].evidence[0]
        assert tag in findings[0].evidence[1]


def test_system_package_for_several_pythons() -> None:
    theirs = dist("apt", installer="", tags=(), extensions=("cpython-310-x86_64-linux-gnu",))
    assert list(broken_packages.find_foreign_wheels(facts(theirs))) == []


def test_partial_metadata() -> None:
    half = dist("idna", "3.10", has_metadata=False)
    (finding,) = broken_packages.find_partial_metadata(facts(half))
    assert finding.fixes == (Fix("delete", (half.info,)), Fix("reinstall", ("idna==3.10",)))
    (finding,) = broken_packages.find_partial_metadata(facts(half, dist("idna", "3.11")))
    assert finding.fixes == (Fix("delete", (half.info,)),)
    old = dist("idna", has_metadata=False, info=f"{SITE}/idna.egg-info")
    assert list(broken_packages.find_partial_metadata(facts(old))) == []


def test_missing_record() -> None:
    bare = dist("idna", has_record=False)
    (finding,) = broken_packages.find_missing_records(facts(bare))
    assert finding.fixes == (Fix("delete", (bare.info,)), Fix("reinstall", ("idna==1.0",)))
    for passed in (
        dist("idna", has_record=False, installer=""),
        dist("idna", has_record=False, installer="debian"),
    ):
        assert list(broken_packages.find_missing_records(facts(passed))) == []


def test_two_versions_in_one_folder() -> None:
    old, new = dist("idna", "3.10", missing=("idna/a.py", "idna/b.py")), dist("idna", "3.11")
    (finding,) = broken_packages.find_two_versions(facts(old, new))
    assert finding.fixes == (Fix("delete", (old.info, new.info)), Fix("reinstall", ("idna==3.11",)))
    elsewhere = dataclasses.replace(new, root="/usr/lib/python3/dist-packages")
    assert list(broken_packages.find_two_versions(facts(old, elsewhere))) == []
    # What is wrong with the two is said once.
    assert list(broken_packages.find_missing_files(facts(old, new))) == []


def test_pip_leftovers() -> None:
    left = (f"{SITE}/~dna", f"{SITE}/~dna-3.10.dist-info")
    removed = dist("idna", "3.10", info=left[1])
    (finding,) = broken_packages.find_pip_leftovers(facts(leftovers=left, removed_distributions=(removed,)))
    assert finding.fixes == (Fix("delete", left), Fix("reinstall", ("idna==3.10",)))
    (finding,) = broken_packages.find_pip_leftovers(
        facts(dist("idna", "3.11"), leftovers=left, removed_distributions=(removed,))
    )
    assert finding.fixes == (Fix("delete", left),)


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        (dist("idna", "3.10"), "idna==3.10"),
        (dist("torch", "2.5.1+cu124"), "torch==2.5.1"),
        (dist("odd", "unknown"), "odd"),
        (
            dist("x", direct_url='{"url": "https://host/x", "vcs_info": {"vcs": "git", "commit_id": "abc"}}'),
            "x @ git+https://host/x@abc",
        ),
        (dist("x", direct_url='{"url": "file:///w/x.whl", "archive_info": {}}'), "x @ file:///w/x.whl"),
        (dist("x", direct_url='{"url": "file:///x", "dir_info": {"editable": true}}'), "x==1.0"),
        (dist("x", direct_url="{half"), "x==1.0"),
    ],
)
def test_exact_requirement(distribution: Distribution, expected: str) -> None:
    assert exact_requirement(distribution) == expected


def test_base_python_is_missing() -> None:
    here = facts(
        start_error="No such file",
        missing_base="/opt/python3.11/bin/python3.11",
        pyvenv="home = /opt/python3.11/bin\n",
    )
    (finding,) = startup.find_failed_start(here)
    assert finding.fixes == (Fix("venv", ("/env", "3.11")),)
    assert finding.evidence[0] == "it links to /opt/python3.11/bin/python3.11, which does not exist"
    assert finding.evidence[1] == "pyvenv.cfg says home = /opt/python3.11/bin"


def test_python_home_and_startup_files() -> None:
    (finding,) = startup.find_failed_start(
        facts(start_error="No module named 'encodings'", environ={"PYTHONHOME": "/old"})
    )
    assert finding.fixes == (Fix("unset", ("PYTHONHOME",)),)
    breakers = ((f"{SITE}/a.pth", "UnicodeDecodeError"),)
    (finding,) = startup.find_failed_start(facts(start_error="Fatal Python error", startup_failures=breakers))
    assert finding.fixes == (Fix("rename", (f"{SITE}/a.pth", f"{SITE}/a.pth.off")),)


def test_start_fails_for_an_unknown_reason() -> None:
    (finding,) = startup.find_failed_start(
        facts(start_error="Segmentation fault", pyvenv="home = /usr/bin\n")
    )
    assert finding.fixes == (Fix("venv", ("/env", "3.11")),)
    (finding,) = startup.find_failed_start(facts(start_error="Segmentation fault"))
    assert finding.fixes == ()
    assert "Install that Python again" in finding.explanation


def test_missing_pyvenv_cfg() -> None:
    (finding,) = startup.find_missing_pyvenv(facts(lost_environment="/env", prefix="/usr"))
    assert finding.fixes == (Fix("venv", ("/env", "/usr/bin/python3.11")),)


def test_missing_pyvenv_cfg_of_a_copied_environment() -> None:
    here = facts(start_error="No module named 'encodings'", lost_environment="/env", pyvenv="")
    assert list(startup.find_missing_pyvenv(here)) == []
    (finding,) = startup.find_failed_start(here)
    assert finding.fixes == (Fix("venv", ("/env", "3.11")),)


def test_failing_startup_files() -> None:
    said = (
        f"Error processing line 1 of {SITE}/distutils-precedence.pth:\n\n  Traceback (most recent call last):\n"
        "  ModuleNotFoundError: No module named '_distutils_hack'\n\nRemainder of file ignored\n"
        "Error in sitecustomize; set PYTHONVERBOSE for traceback:\nNameError: name 'x' is not defined"
    )
    place = {"sitecustomize": (ModuleLocation("module", f"{SITE}/sitecustomize.py", SITE),)}
    pth, custom = startup.find_failing_startup_files(facts(start_stderr=said, modules=place))
    assert pth.evidence[0].endswith("ModuleNotFoundError: No module named '_distutils_hack'")
    assert pth.fixes[0].arguments[0] == f"{SITE}/distutils-precedence.pth"
    assert custom.fixes[0].arguments[1] == f"{SITE}/sitecustomize.py.off"
    assert list(startup.find_failing_startup_files(facts(start_stderr="a warning of something else"))) == []


def test_truncated_library_explains_a_crash() -> None:
    died = ErrorReport("import keras", "import keras", "Killed", "died by SIGBUS", text="died by SIGBUS")
    library, module = (("tf/libtf.so.2", "truncated"),), (("tf/a.py", "truncated"),)
    (finding,) = broken_packages.find_damaged_files(facts(dist("tf", damaged=library), errors=(died,)))
    assert finding.explains == ("import keras",)
    (finding,) = broken_packages.find_damaged_files(facts(dist("tf", damaged=module), errors=(died,)))
    assert finding.explains == ()


def test_errors_of_broken_files_are_not_reported_for_code() -> None:
    failed = ErrorReport("import tf", "import tf", "AttributeError", "", text=f'File "{SITE}/tf/__init__.py"')
    here = facts(dist("tf", missing=("tf/a.py",)), errors=(failed,))
    finding = Finding("what", ("evidence",), "why", explains=("import tf",), code="CE401")
    old_code = Rule("CE401", "title", "about", lambda _: [finding], RANKS["4"])
    assert [finding.code for finding in run_rules(here, [RULES["CE503"], old_code])] == ["CE503"]
    assert [finding.code for finding in run_rules(facts(), [RULES["CE503"], old_code])] == ["CE401"]
