"""Checks of broken packages and of interpreters that do not start."""

from __future__ import annotations

import dataclasses

from colabenv.doctor.checks import broken_packages, startup
from colabenv.doctor.checks.registry import RANKS, RULES, Rule, run_rules
from colabenv.doctor.distributions import exact_requirement, is_import_file
from colabenv.doctor.model import ErrorReport, Finding, Fix, ModuleLocation, Overlap
from support.doctor.facts import SITE, dist, facts

COMPLETE = facts(
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
    assert [finding for check in checks for finding in check(COMPLETE)] == []


def test_is_import_file() -> None:
    expected = {
        "idna/core.py": True,
        "torch/lib/libtorch.so": True,
        "nvidia/cudnn/lib/libcudnn.so.9": True,
        "certifi/cacert.pem": True,
        "six.py": True,
        "keras/testing/test_case.py": True,
        "numpy/core/tests/test_api.py": False,
        "tests/__init__.py": False,
        "../../../bin/tensorboard": False,
        "/usr/share/man/x.py": False,
        "idna-3.10.dist-info/direct.py": False,
        "torch/include/ATen/ATen.h": False,
        "idna/py.typed": False,
    }
    assert {path: is_import_file(path) for path in expected} == expected


def test_missing_modules_explain_an_import_error() -> None:
    package = dist("idna", "3.10", missing=("idna/core.py", "tests/x.py"))
    error = ErrorReport(
        "import idna", "import idna", "ImportError", "", text=f'File "{SITE}/idna/__init__.py"'
    )
    (finding,) = broken_packages.find_missing_files(facts(package, errors=(error,)))
    assert finding.code == "CE503"
    assert "idna/core.py" in finding.evidence[0]
    assert "tests/x.py" not in finding.evidence[0]
    assert finding.fixes == (Fix("reinstall", ("idna==3.10",)),)
    assert finding.explains == ("import idna",)


def test_package_without_any_of_its_files_is_reported() -> None:
    package = dist("idna", missing=tuple(f"idna/{number}.py" for number in range(10)))
    (finding,) = broken_packages.find_missing_files(facts(package))
    assert "all of its files are missing" in finding.summary
    assert "and 7 more" in finding.evidence[0]


def test_damaged_files_are_reported_and_edited_ones_are_not() -> None:
    altered = (("idna/core.py", 12663, 0), ("idna/x.so", 9000, 100))
    damaged = (("idna/core.py", "empty"), ("idna/x.so", "truncated"))
    package = dist("idna", altered=altered, damaged=damaged)
    (finding,) = broken_packages.find_damaged_files(facts(package))
    assert finding.evidence == (
        f"{SITE}/idna/core.py is empty: 0 bytes instead of 12663",
        f"{SITE}/idna/x.so is truncated: 100 bytes instead of 9000",
    )
    assert list(broken_packages.find_damaged_files(facts(dist("idna", altered=altered)))) == []


def test_file_of_another_package_is_not_damaged() -> None:
    package = dist("idna", damaged=(("idna/core.py", "empty"),))
    overlap = Overlap(f"{SITE}/idna/core.py", ("idna", "other"), ("other",), hashed=True)
    assert list(broken_packages.find_damaged_files(facts(package, overlaps=(overlap,)))) == []


def test_wheel_for_another_python_or_platform_is_reported() -> None:
    for extension, tag, is_foreign in (
        ("cpython-310-x86_64-linux-gnu", "cp310-cp310-manylinux_2_17_x86_64", True),
        ("cpython-311-aarch64-linux-gnu", "cp311-cp311-manylinux_2_17_aarch64", True),
        ("cpython-311-darwin", "cp311-cp311-macosx_11_0_arm64", True),
        ("cp311-win_amd64", "cp311-cp311-win_amd64", True),
        ("cpython-311-x86_64-linux-gnu", "cp311-cp311-manylinux_2_17_x86_64", False),
        ("abi3", "cp38-abi3-manylinux_2_17_x86_64", False),
        # Pure Python with compiled modules for another Python, and a wheel for every later Python.
        ("cpython-310-x86_64-linux-gnu", "py3-none-any", False),
        ("cpython-310-x86_64-linux-gnu", "cp39-abi3-linux_x86_64", False),
    ):
        package = dist("yaml", extensions=(extension,), tags=(tag,))
        findings = list(broken_packages.find_foreign_wheels(facts(package)))
        assert [finding.code for finding in findings] == ["CE505"] * is_foreign, (extension, tag)
        if is_foreign:
            assert extension in findings[0].evidence[0]
            assert tag in findings[0].evidence[1]


def test_system_package_for_several_pythons_is_not_reported() -> None:
    package = dist("apt", installer="", tags=(), extensions=("cpython-310-x86_64-linux-gnu",))
    assert list(broken_packages.find_foreign_wheels(facts(package))) == []


def test_partial_metadata_is_deleted() -> None:
    partial = dist("idna", "3.10", has_metadata=False)
    (finding,) = broken_packages.find_partial_metadata(facts(partial))
    assert finding.fixes == (Fix("delete", (partial.info,)), Fix("reinstall", ("idna==3.10",)))
    (finding,) = broken_packages.find_partial_metadata(facts(partial, dist("idna", "3.11")))
    assert finding.fixes == (Fix("delete", (partial.info,)),)
    egg = dist("idna", has_metadata=False, info=f"{SITE}/idna.egg-info")
    assert list(broken_packages.find_partial_metadata(facts(egg))) == []


def test_package_without_a_record_is_reinstalled() -> None:
    package = dist("idna", has_record=False)
    (finding,) = broken_packages.find_missing_records(facts(package))
    assert finding.fixes == (Fix("delete", (package.info,)), Fix("reinstall", ("idna==1.0",)))
    for installer in ("", "debian"):
        package = dist("idna", has_record=False, installer=installer)
        assert list(broken_packages.find_missing_records(facts(package))) == [], installer


def test_two_versions_in_one_folder_are_reported_once() -> None:
    old, new = dist("idna", "3.10", missing=("idna/a.py", "idna/b.py")), dist("idna", "3.11")
    (finding,) = broken_packages.find_two_versions(facts(old, new))
    assert finding.fixes == (Fix("delete", (old.info, new.info)), Fix("reinstall", ("idna==3.11",)))
    elsewhere = dataclasses.replace(new, root="/usr/lib/python3/dist-packages")
    assert list(broken_packages.find_two_versions(facts(old, elsewhere))) == []
    assert list(broken_packages.find_missing_files(facts(old, new))) == []


def test_leftovers_of_pip_are_deleted() -> None:
    leftovers = (f"{SITE}/~dna", f"{SITE}/~dna-3.10.dist-info")
    removed = (dist("idna", "3.10", info=leftovers[1]),)
    (finding,) = broken_packages.find_pip_leftovers(facts(leftovers=leftovers, removed_distributions=removed))
    assert finding.fixes == (Fix("delete", leftovers), Fix("reinstall", ("idna==3.10",)))
    (finding,) = broken_packages.find_pip_leftovers(
        facts(dist("idna", "3.11"), leftovers=leftovers, removed_distributions=removed)
    )
    assert finding.fixes == (Fix("delete", leftovers),)


def test_exact_requirement() -> None:
    for distribution, expected in (
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
    ):
        assert exact_requirement(distribution) == expected, distribution.direct_url


def test_environment_without_its_base_python_is_rebuilt() -> None:
    broken = facts(
        start_error="No such file",
        missing_base="/opt/python3.11/bin/python3.11",
        pyvenv="home = /opt/python3.11/bin\n",
    )
    (finding,) = startup.find_failed_start(broken)
    assert finding.fixes == (Fix("venv", ("/env", "3.11")),)
    assert finding.evidence[0] == "it links to /opt/python3.11/bin/python3.11, which does not exist"
    assert finding.evidence[1] == "pyvenv.cfg says home = /opt/python3.11/bin"


def test_pythonhome_and_startup_files_explain_a_failed_start() -> None:
    (finding,) = startup.find_failed_start(
        facts(start_error="No module named 'encodings'", environ={"PYTHONHOME": "/old"})
    )
    assert finding.fixes == (Fix("unset", ("PYTHONHOME",)),)
    failures = ((f"{SITE}/a.pth", "UnicodeDecodeError"),)
    (finding,) = startup.find_failed_start(facts(start_error="Fatal Python error", startup_failures=failures))
    assert finding.fixes == (Fix("rename", (f"{SITE}/a.pth", f"{SITE}/a.pth.off")),)


def test_unexplained_failed_start_rebuilds_an_environment() -> None:
    (finding,) = startup.find_failed_start(
        facts(start_error="Segmentation fault", pyvenv="home = /usr/bin\n")
    )
    assert finding.fixes == (Fix("venv", ("/env", "3.11")),)
    (finding,) = startup.find_failed_start(facts(start_error="Segmentation fault"))
    assert finding.fixes == ()
    assert "Install that Python again" in finding.explanation


def test_environment_without_pyvenv_cfg_is_rebuilt() -> None:
    (finding,) = startup.find_missing_pyvenv(facts(lost_environment="/env", prefix="/usr"))
    assert finding.fixes == (Fix("venv", ("/env", "/usr/bin/python3.11")),)


def test_failed_start_without_pyvenv_cfg_is_reported_once() -> None:
    broken = facts(start_error="No module named 'encodings'", lost_environment="/env", pyvenv="")
    assert list(startup.find_missing_pyvenv(broken)) == []
    (finding,) = startup.find_failed_start(broken)
    assert finding.fixes == (Fix("venv", ("/env", "3.11")),)


def test_failing_startup_files_are_renamed() -> None:
    stderr = (
        f"Error processing line 1 of {SITE}/distutils-precedence.pth:\n\n  Traceback (most recent call last):\n"
        "  ModuleNotFoundError: No module named '_distutils_hack'\n\nRemainder of file ignored\n"
        "Error in sitecustomize; set PYTHONVERBOSE for traceback:\nNameError: name 'x' is not defined"
    )
    modules = {"sitecustomize": (ModuleLocation("module", f"{SITE}/sitecustomize.py", SITE),)}
    pth, sitecustomize = startup.find_failing_startup_files(facts(start_stderr=stderr, modules=modules))
    assert pth.evidence[0].endswith("ModuleNotFoundError: No module named '_distutils_hack'")
    assert pth.fixes[0].arguments[0] == f"{SITE}/distutils-precedence.pth"
    assert sitecustomize.fixes[0].arguments[1] == f"{SITE}/sitecustomize.py.off"
    assert list(startup.find_failing_startup_files(facts(start_stderr="another warning"))) == []


def test_truncated_library_explains_a_crash() -> None:
    crash = ErrorReport("import keras", "import keras", "Killed", "died by SIGBUS", text="died by SIGBUS")
    library, module = (("tf/libtf.so.2", "truncated"),), (("tf/a.py", "truncated"),)
    (finding,) = broken_packages.find_damaged_files(facts(dist("tf", damaged=library), errors=(crash,)))
    assert finding.explains == ("import keras",)
    (finding,) = broken_packages.find_damaged_files(facts(dist("tf", damaged=module), errors=(crash,)))
    assert finding.explains == ()


def test_errors_of_broken_files_are_not_reported_as_old_code() -> None:
    error = ErrorReport("import tf", "import tf", "AttributeError", "", text=f'File "{SITE}/tf/__init__.py"')
    broken = facts(dist("tf", missing=("tf/a.py",)), errors=(error,))
    finding = Finding("what", ("evidence",), "why", explains=("import tf",), code="CE401")
    old_code = Rule("CE401", "title", "about", lambda _: [finding], RANKS["4"])
    assert [finding.code for finding in run_rules(broken, [RULES["CE503"], old_code])] == ["CE503"]
    assert [finding.code for finding in run_rules(facts(), [RULES["CE503"], old_code])] == ["CE401"]
