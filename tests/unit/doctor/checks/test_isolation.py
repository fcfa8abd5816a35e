"""Checks of packages, files and variables from outside."""

from __future__ import annotations

import pytest

from colabenv.doctor.checks import isolation
from colabenv.doctor.checks.registry import RULES, run_rules
from colabenv.doctor.model import ErrorReport, Fix, LoadedModule, ModuleLocation
from support.doctor.facts import SITE, dist, facts

CWD = "/content"
STDLIB = "/usr/lib/python3.11"


def places(*finding: tuple[str, str, str]) -> tuple[ModuleLocation, ...]:
    return tuple(ModuleLocation(kind, file, entry) for kind, file, entry in finding)


def test_isolated_session_has_no_finding() -> None:
    here = facts(
        dist("numpy"),
        path=(CWD, STDLIB, SITE),
        script_folder=CWD,
        cwd=CWD,
        environ={"PYTHONPATH": "/env/python", "MPLBACKEND": "agg", "UV_SYSTEM_PYTHON": "false"},
        modules={
            "numpy": places(("package", f"{SITE}/numpy/__init__.py", SITE)),
            "sample_data": places(("namespace", f"{CWD}/sample_data", CWD)),
            "helpers": places(("module", f"{CWD}/helpers.py", CWD)),
        },
        loaded={"numpy": LoadedModule("numpy", "1.0", f"{SITE}/numpy/__init__.py")},
        pip_prefix="/env",
    )
    rules = [each for code, each in RULES.items() if code.startswith("CE3")]
    assert len(rules) == 9
    assert list(run_rules(here, rules)) == []


def test_packages_on_pythonpath() -> None:
    here = facts(
        dist("idna", "2.8", root="/old", info="/old/idna-2.8.dist-info"),
        dist("idna", "3.10"),
        path=("/old", SITE),
        environ={"PYTHONPATH": "../old/"},
        cwd="/content",
        modules={
            "idna": places(
                ("package", "/old/idna/__init__.py", "/old"), ("package", f"{SITE}/idna/__init__.py", SITE)
            )
        },
    )
    (finding,) = isolation.find_pythonpath_packages(here)
    assert finding.fixes == (Fix("unset", ("PYTHONPATH",)),)
    assert any("instead of" in line for line in finding.evidence)
    assert finding.removes == ("/old/idna-2.8.dist-info",)


def test_own_code_on_pythonpath_is_not_reported() -> None:
    here = facts(
        path=("/src", SITE),
        environ={"PYTHONPATH": "/src"},
        modules={"mine": places(("package", "/src/mine/__init__.py", "/src"))},
    )
    assert list(isolation.find_pythonpath_packages(here)) == []


def test_checkout_on_pythonpath_is_not_reported() -> None:
    checkout = dist("mine", root="/src", info="/src/mine.egg-info")
    assert (
        list(
            isolation.find_pythonpath_packages(
                facts(checkout, path=("/src", SITE), environ={"PYTHONPATH": "/src"})
            )
        )
        == []
    )
    wheel = dist("mine", root="/src", info="/src/mine-1.0.dist-info")
    assert (
        list(
            isolation.find_pythonpath_packages(
                facts(wheel, path=("/src", SITE), environ={"PYTHONPATH": "/src"})
            )
        )
        != []
    )


def test_colabs_own_pythonpath_is_not_reported() -> None:
    here = facts(
        dist("google-colab", root="/env/python", info="/env/python/x.dist-info"),
        prefix="/usr",
        path=("/env/python", "/usr/local/lib/python3.11/dist-packages"),
        environ={"PYTHONPATH": "/env/python"},
    )
    assert list(isolation.find_pythonpath_packages(here)) == []


def outside(need: str, version: str) -> tuple[object, ...]:
    home = "/root/.local/lib/python3.11/site-packages"
    return (
        dist("httpx", "0.27.2", requires=(need, "idna; python_version > '3'")),
        dist("httpcore", version, root=home, info=f"{home}/httpcore.dist-info"),
        dist("idna", "3.10", root=home, info=f"{home}/idna.dist-info"),
    )


def test_conflicting_packages_from_outside() -> None:
    here = facts(*outside("httpcore==1.*", "0.9.1"), path=(SITE,))  # type: ignore[arg-type]
    (finding,) = isolation.find_conflicting_outside_packages(here)
    assert finding.fixes[0] == Fix("venv", ("/env", "/usr/bin/python3.11"))
    assert finding.fixes[1] == Fix("install", ("httpcore==1.*", "idna"))
    assert "0.9.1 is in /root/.local" in finding.evidence[0]
    assert finding.covers == ("httpx>httpcore",)


def test_fitting_packages_from_outside_are_not_reported() -> None:
    here = facts(*outside("httpcore==1.*", "1.0.5"), path=(SITE,))  # type: ignore[arg-type]
    assert list(isolation.find_conflicting_outside_packages(here)) == []
    base = facts(*outside("httpcore==1.*", "0.9.1"), prefix="/usr")  # type: ignore[arg-type]
    assert list(isolation.find_conflicting_outside_packages(base)) == []


@pytest.mark.parametrize(("hidden", "count"), [("1.26.4", 1), ("2.2.0", 0)])
def test_user_site_package_that_hides_a_fitting_one(hidden: str, count: int) -> None:
    home = "/root/.local/lib/python3.11/site-packages"
    here = facts(
        dist("tensorflow", requires=("numpy<2",), root="/usr/lib"),
        dist("numpy", "2.1.0", root=home, info=f"{home}/numpy.dist-info"),
        dist("numpy", hidden, root="/usr/lib"),
        prefix="/usr",
    )
    findings = list(isolation.find_user_site_conflicts(here))
    assert len(findings) == count
    if findings:
        assert findings[0].fixes == (Fix("uninstall", ("numpy",)),)


SHADOWED = {
    "random": places(("module", f"{CWD}/random.py", CWD), ("module", f"{STDLIB}/random.py", STDLIB)),
    "keras": places(
        ("package", f"{CWD}/keras/__init__.py", CWD), ("package", f"{SITE}/keras/__init__.py", SITE)
    ),
}
LET_PASS = {
    "time": places(("module", f"{CWD}/time.py", CWD), ("extension", f"{STDLIB}/time.so", STDLIB)),
    "test": places(
        ("package", f"{CWD}/test/__init__.py", CWD), ("package", f"{STDLIB}/test/__init__.py", STDLIB)
    ),
    "numpy": places(("package", f"{SITE}/numpy/__init__.py", SITE), ("namespace", f"{CWD}/numpy", CWD)),
    "torch": places(("namespace", f"{CWD}/torch", CWD)),
    "mine": places(("module", f"{CWD}/mine.py", CWD)),
    "tests": places(
        ("package", f"{CWD}/tests/__init__.py", CWD), ("package", f"{SITE}/tests/__init__.py", SITE)
    ),
}


def test_files_that_hide_modules() -> None:
    here = facts(
        script_folder=CWD,
        modules={**SHADOWED, **LET_PASS},
        preloaded=frozenset({"time"}),
        standard_modules=frozenset({"random", "test"}),
    )
    random, keras = isolation.find_shadowed_modules(here)
    assert random.fixes == (Fix("rename", (f"{CWD}/random.py", f"{CWD}/my_random.py")),)
    assert f"instead of {STDLIB}/random.py" in random.evidence[0]
    assert keras.fixes == (Fix("rename", (f"{CWD}/keras", f"{CWD}/my_keras")),)


def test_own_packages_of_a_project_are_not_reported() -> None:
    here = facts(script_folder=CWD, modules=SHADOWED, in_project=True, standard_modules=frozenset({"random"}))
    assert [finding.fixes[0].arguments[0] for finding in isolation.find_shadowed_modules(here)] == [
        f"{CWD}/random.py"
    ]
    blamed = ErrorReport(
        "import keras", "import keras", "ImportError", "", text=f'File "{CWD}/keras/__init__.py"'
    )
    here = facts(
        script_folder=CWD,
        modules=SHADOWED,
        in_project=True,
        standard_modules=frozenset({"random"}),
        errors=(blamed,),
    )
    assert [finding.explains for finding in isolation.find_shadowed_modules(here)][1] == ("import keras",)


def test_empty_folder_named_like_a_framework() -> None:
    text = "ModuleNotFoundError: No module named 'tensorflow.keras'"
    failed = ErrorReport("import tensorflow", "", "ModuleNotFoundError", "", text=text)
    folder = {"tensorflow": places(("namespace", f"{CWD}/tensorflow", CWD))}
    (finding,) = isolation.find_shadowed_modules(facts(script_folder=CWD, modules=folder, errors=(failed,)))
    assert finding.fixes[0] == Fix("rename", (f"{CWD}/tensorflow", f"{CWD}/my_tensorflow"))
    assert finding.fixes[1] == Fix("install", ("tensorflow",))
    assert list(isolation.find_shadowed_modules(facts(script_folder=CWD, modules=folder))) == []


@pytest.mark.parametrize(
    ("module", "memory", "disk", "is_old"),
    [
        ("tensorflow", "2.15.0", dist("tensorflow", "2.18.0"), True),
        ("tensorflow", "2.18.0", dist("tensorflow-cpu", "2.18.0"), False),
        ("torch", "2.5.1+cu124", dist("torch", "2.5.1"), False),
        ("tensorflow", "2.21.0-dev20260101", dist("tf-nightly", "2.21.0.dev20260101"), False),
        ("cv2", "4.10.0", dist("opencv-python", "4.10.0.84"), False),
        ("numpy", "", dist("numpy", "2.0"), False),
    ],
)
def test_outdated_modules_in_memory(module: str, memory: str, disk: object, is_old: bool) -> None:
    loaded = {module: LoadedModule(module, memory, f"{SITE}/{module}/__init__.py")}
    findings = list(isolation.find_outdated_modules(facts(disk, loaded=loaded)))  # type: ignore[arg-type]
    assert [finding.code for finding in findings] == ["CE305"] * is_old
    if is_old:
        assert findings[0].fixes == (Fix("restart"),)
        assert f"{module} {memory} was loaded from" in findings[0].evidence[0]


@pytest.mark.parametrize(
    ("kind", "environ", "pip", "count"),
    [
        ("base", {"JPY_PARENT_PID": "7"}, "/usr/local", 1),
        ("environment", {"COLABENV_INSIDE": "/env"}, "/usr/local", 1),
        ("base", {"JPY_PARENT_PID": "7"}, "/env", 0),
        ("base", {"JPY_PARENT_PID": "7"}, "", 0),
        ("base", {}, "/usr/local", 0),
        ("interpreter", {"JPY_PARENT_PID": "7"}, "/usr/local", 0),
    ],
)
def test_pip_of_another_python(kind: str, environ: dict[str, str], pip: str, count: int) -> None:
    findings = list(isolation.find_other_pip(facts(kind=kind, environ=environ, pip_prefix=pip)))
    assert len(findings) == count
    assert [finding.fixes for finding in findings] == [
        (Fix("edit", ("!pip install", "%pip install")),)
    ] * count


def test_environment_on_drive() -> None:
    (finding,) = isolation.find_network_folder(facts(unfit_mount="fuse.drive"))
    assert "fuse.drive" in finding.evidence[0]
    assert list(isolation.find_network_folder(facts())) == []
    assert list(isolation.find_network_folder(facts(unfit_mount="fuse.drive", prefix="/usr"))) == []


INLINE = "module://matplotlib_inline.backend_inline"


def test_mplbackend_of_another_python() -> None:
    (finding,) = isolation.find_missing_backend(facts(dist("matplotlib"), environ={"MPLBACKEND": INLINE}))
    assert finding.fixes == (Fix("unset", ("MPLBACKEND",)),)
    there = {"matplotlib_inline": places(("package", f"{SITE}/matplotlib_inline/__init__.py", SITE))}
    for passed in (
        facts(dist("matplotlib"), environ={"MPLBACKEND": INLINE}, modules=there),
        facts(dist("matplotlib"), environ={"MPLBACKEND": "agg"}),
        facts(environ={"MPLBACKEND": INLINE}),
    ):
        assert list(isolation.find_missing_backend(passed)) == []


def test_uv_system_python() -> None:
    (finding,) = isolation.find_uv_system_python(facts(environ={"UV_SYSTEM_PYTHON": "true"}))
    assert finding.fixes == (Fix("unset", ("UV_SYSTEM_PYTHON",)),)
    assert list(isolation.find_uv_system_python(facts(environ={"UV_SYSTEM_PYTHON": "0"}))) == []
    assert (
        list(isolation.find_uv_system_python(facts(environ={"UV_SYSTEM_PYTHON": "true"}, prefix="/usr")))
        == []
    )


def test_later_rules_ignore_what_an_earlier_finding_removes() -> None:
    """The numpy of PYTHONPATH does not fit; once the variable is unset nothing is wrong."""
    here = facts(
        dist("numpy", "1.20", root="/old", info="/old/numpy.dist-info"),
        dist("numpy", "2.1"),
        dist("scipy", requires=("numpy>=2",)),
        path=("/old", SITE),
        environ={"PYTHONPATH": "/old"},
    )
    assert [finding.code for finding in run_rules(here, RULES.values())] == ["CE301"]
