"""Checks of packages, files and variables from outside."""

from __future__ import annotations

import dataclasses

from colabenv.doctor.checks import isolation
from colabenv.doctor.checks.registry import RULES, run_rules
from colabenv.doctor.model import Distribution, ErrorReport, Finding, Fix, LoadedModule, ModuleLocation
from support.doctor.facts import SITE, dist, facts

CWD = "/content"
STDLIB = "/usr/lib/python3.11"


def locations(*values: tuple[str, str, str]) -> tuple[ModuleLocation, ...]:
    return tuple(ModuleLocation(kind, file, entry) for kind, file, entry in values)


def test_isolated_session_has_no_finding() -> None:
    isolated = facts(
        dist("numpy"),
        path=(CWD, STDLIB, SITE),
        script_folder=CWD,
        cwd=CWD,
        environ={"PYTHONPATH": "/env/python", "MPLBACKEND": "agg", "UV_SYSTEM_PYTHON": "false"},
        modules={
            "numpy": locations(("package", f"{SITE}/numpy/__init__.py", SITE)),
            "sample_data": locations(("namespace", f"{CWD}/sample_data", CWD)),
            "helpers": locations(("module", f"{CWD}/helpers.py", CWD)),
        },
        loaded={"numpy": LoadedModule("numpy", "1.0", f"{SITE}/numpy/__init__.py")},
        pip_prefix="/env",
    )
    rules = [rule for code, rule in RULES.items() if code.startswith("CE3")]
    assert len(rules) == 9
    assert list(run_rules(isolated, rules)) == []


def test_packages_on_pythonpath_are_reported() -> None:
    session = facts(
        dist("idna", "2.8", root="/old", info="/old/idna-2.8.dist-info"),
        dist("idna", "3.10"),
        path=("/old", SITE),
        environ={"PYTHONPATH": "../old/"},
        cwd="/content",
        modules={
            "idna": locations(
                ("package", "/old/idna/__init__.py", "/old"), ("package", f"{SITE}/idna/__init__.py", SITE)
            )
        },
    )
    (finding,) = isolation.find_pythonpath_packages(session)
    assert finding.fixes == (Fix("unset", ("PYTHONPATH",)),)
    assert any("instead of" in line for line in finding.evidence)
    assert finding.removes == ("/old/idna-2.8.dist-info",)


def test_own_code_on_pythonpath_is_not_reported() -> None:
    session = facts(
        path=("/src", SITE),
        environ={"PYTHONPATH": "/src"},
        modules={"mine": locations(("package", "/src/mine/__init__.py", "/src"))},
    )
    assert list(isolation.find_pythonpath_packages(session)) == []


def test_checkout_on_pythonpath_is_not_reported() -> None:
    checkout = dist("mine", root="/src", info="/src/mine.egg-info")
    session = facts(checkout, path=("/src", SITE), environ={"PYTHONPATH": "/src"})
    assert list(isolation.find_pythonpath_packages(session)) == []
    wheel = dist("mine", root="/src", info="/src/mine-1.0.dist-info")
    session = facts(wheel, path=("/src", SITE), environ={"PYTHONPATH": "/src"})
    assert list(isolation.find_pythonpath_packages(session)) != []


def test_pythonpath_of_colab_is_not_reported() -> None:
    session = facts(
        dist("google-colab", root="/env/python", info="/env/python/x.dist-info"),
        prefix="/usr",
        path=("/env/python", "/usr/local/lib/python3.11/dist-packages"),
        environ={"PYTHONPATH": "/env/python"},
    )
    assert list(isolation.find_pythonpath_packages(session)) == []


USER_SITE = "/root/.local/lib/python3.11/site-packages"


def httpx_with_packages_from_outside(httpcore: str) -> tuple[Distribution, ...]:
    """Return httpx in the environment, and its requirements in the user's site-packages."""
    return (
        dist("httpx", "0.27.2", requires=("httpcore==1.*", "idna; python_version > '3'")),
        dist("httpcore", httpcore, root=USER_SITE, info=f"{USER_SITE}/httpcore.dist-info"),
        dist("idna", "3.10", root=USER_SITE, info=f"{USER_SITE}/idna.dist-info"),
    )


def test_incompatible_packages_from_outside_are_reported() -> None:
    session = facts(*httpx_with_packages_from_outside("0.9.1"), path=(SITE,))
    (finding,) = isolation.find_conflicting_outside_packages(session)
    assert finding.fixes[0] == Fix("venv", ("/env", "/usr/bin/python3.11"))
    assert finding.fixes[1] == Fix("install", ("httpcore==1.*", "idna"))
    assert "0.9.1 is in /root/.local" in finding.evidence[0]
    assert finding.covers == ("httpx>httpcore",)


def test_compatible_packages_from_outside_are_not_reported() -> None:
    session = facts(*httpx_with_packages_from_outside("1.0.5"), path=(SITE,))
    assert list(isolation.find_conflicting_outside_packages(session)) == []
    base = facts(*httpx_with_packages_from_outside("0.9.1"), prefix="/usr")
    assert list(isolation.find_conflicting_outside_packages(base)) == []


def test_user_site_package_that_hides_a_compatible_one_is_reported() -> None:
    def find_conflicts(hidden: str) -> list[Finding]:
        session = facts(
            dist("tensorflow", requires=("numpy<2",), root="/usr/lib"),
            dist("numpy", "2.1.0", root=USER_SITE, info=f"{USER_SITE}/numpy.dist-info"),
            dist("numpy", hidden, root="/usr/lib"),
            prefix="/usr",
        )
        return list(isolation.find_user_site_conflicts(session))

    assert [finding.fixes for finding in find_conflicts("1.26.4")] == [(Fix("uninstall", ("numpy",)),)]
    assert find_conflicts("2.2.0") == []


SHADOWED = {
    "random": locations(("module", f"{CWD}/random.py", CWD), ("module", f"{STDLIB}/random.py", STDLIB)),
    "keras": locations(
        ("package", f"{CWD}/keras/__init__.py", CWD), ("package", f"{SITE}/keras/__init__.py", SITE)
    ),
}
NOT_SHADOWED = {
    "time": locations(("module", f"{CWD}/time.py", CWD), ("extension", f"{STDLIB}/time.so", STDLIB)),
    "test": locations(
        ("package", f"{CWD}/test/__init__.py", CWD), ("package", f"{STDLIB}/test/__init__.py", STDLIB)
    ),
    "numpy": locations(("package", f"{SITE}/numpy/__init__.py", SITE), ("namespace", f"{CWD}/numpy", CWD)),
    "torch": locations(("namespace", f"{CWD}/torch", CWD)),
    "mine": locations(("module", f"{CWD}/mine.py", CWD)),
    "tests": locations(
        ("package", f"{CWD}/tests/__init__.py", CWD), ("package", f"{SITE}/tests/__init__.py", SITE)
    ),
}


def test_files_that_hide_modules_are_renamed() -> None:
    session = facts(
        script_folder=CWD,
        modules={**SHADOWED, **NOT_SHADOWED},
        preloaded=frozenset({"time"}),
        standard_modules=frozenset({"random", "test"}),
    )
    random, keras = isolation.find_shadowed_modules(session)
    assert random.fixes == (Fix("rename", (f"{CWD}/random.py", f"{CWD}/my_random.py")),)
    assert f"instead of {STDLIB}/random.py" in random.evidence[0]
    assert keras.fixes == (Fix("rename", (f"{CWD}/keras", f"{CWD}/my_keras")),)


def test_packages_of_a_project_are_reported_only_after_an_error() -> None:
    project = facts(
        script_folder=CWD, modules=SHADOWED, in_project=True, standard_modules=frozenset({"random"})
    )
    assert [finding.fixes[0].arguments[0] for finding in isolation.find_shadowed_modules(project)] == [
        f"{CWD}/random.py"
    ]
    error = ErrorReport(
        "import keras", "import keras", "ImportError", "", text=f'File "{CWD}/keras/__init__.py"'
    )
    _, keras = isolation.find_shadowed_modules(dataclasses.replace(project, errors=(error,)))
    assert keras.explains == ("import keras",)


def test_empty_folder_named_like_a_framework_is_reported_after_an_error() -> None:
    text = "ModuleNotFoundError: No module named 'tensorflow.keras'"
    error = ErrorReport("import tensorflow", "", "ModuleNotFoundError", "", text=text)
    modules = {"tensorflow": locations(("namespace", f"{CWD}/tensorflow", CWD))}
    (finding,) = isolation.find_shadowed_modules(facts(script_folder=CWD, modules=modules, errors=(error,)))
    assert finding.fixes[0] == Fix("rename", (f"{CWD}/tensorflow", f"{CWD}/my_tensorflow"))
    assert finding.fixes[1] == Fix("install", ("tensorflow",))
    assert list(isolation.find_shadowed_modules(facts(script_folder=CWD, modules=modules))) == []


def test_outdated_modules_in_memory_need_a_restart() -> None:
    for module, loaded_version, distribution, is_outdated in (
        ("tensorflow", "2.15.0", dist("tensorflow", "2.18.0"), True),
        ("tensorflow", "2.18.0", dist("tensorflow-cpu", "2.18.0"), False),
        ("torch", "2.5.1+cu124", dist("torch", "2.5.1"), False),
        ("tensorflow", "2.21.0-dev20260101", dist("tf-nightly", "2.21.0.dev20260101"), False),
        ("cv2", "4.10.0", dist("opencv-python", "4.10.0.84"), False),
        ("numpy", "", dist("numpy", "2.0"), False),
    ):
        loaded = {module: LoadedModule(module, loaded_version, f"{SITE}/{module}/__init__.py")}
        findings = list(isolation.find_outdated_modules(facts(distribution, loaded=loaded)))
        assert [finding.code for finding in findings] == ["CE305"] * is_outdated, (module, loaded_version)
        if is_outdated:
            assert findings[0].fixes == (Fix("restart"),)
            assert f"{module} {loaded_version} was loaded from" in findings[0].evidence[0]


def test_pip_of_another_python_is_reported_in_notebooks() -> None:
    for kind, environ, pip_prefix, count in (
        ("base", {"JPY_PARENT_PID": "7"}, "/usr/local", 1),
        ("environment", {"COLABENV_INSIDE": "/env"}, "/usr/local", 1),
        ("base", {"JPY_PARENT_PID": "7"}, "/env", 0),
        ("base", {"JPY_PARENT_PID": "7"}, "", 0),
        ("base", {}, "/usr/local", 0),
        ("interpreter", {"JPY_PARENT_PID": "7"}, "/usr/local", 0),
    ):
        findings = list(isolation.find_other_pip(facts(kind=kind, environ=environ, pip_prefix=pip_prefix)))
        expected = [(Fix("edit", ("!pip install", "%pip install")),)] * count
        assert [finding.fixes for finding in findings] == expected, (kind, environ, pip_prefix)


def test_environment_on_drive_is_reported() -> None:
    (finding,) = isolation.find_network_folder(facts(unfit_mount="fuse.drive"))
    assert "fuse.drive" in finding.evidence[0]
    assert list(isolation.find_network_folder(facts())) == []
    assert list(isolation.find_network_folder(facts(unfit_mount="fuse.drive", prefix="/usr"))) == []


INLINE = "module://matplotlib_inline.backend_inline"


def test_missing_matplotlib_backend_is_reported() -> None:
    (finding,) = isolation.find_missing_backend(facts(dist("matplotlib"), environ={"MPLBACKEND": INLINE}))
    assert finding.fixes == (Fix("unset", ("MPLBACKEND",)),)
    inline = {"matplotlib_inline": locations(("package", f"{SITE}/matplotlib_inline/__init__.py", SITE))}
    for without_finding in (
        facts(dist("matplotlib"), environ={"MPLBACKEND": INLINE}, modules=inline),
        facts(dist("matplotlib"), environ={"MPLBACKEND": "agg"}),
        facts(environ={"MPLBACKEND": INLINE}),
    ):
        assert list(isolation.find_missing_backend(without_finding)) == []


def test_uv_system_python_is_reported_in_an_environment() -> None:
    (finding,) = isolation.find_uv_system_python(facts(environ={"UV_SYSTEM_PYTHON": "true"}))
    assert finding.fixes == (Fix("unset", ("UV_SYSTEM_PYTHON",)),)
    assert list(isolation.find_uv_system_python(facts(environ={"UV_SYSTEM_PYTHON": "0"}))) == []
    base = facts(environ={"UV_SYSTEM_PYTHON": "true"}, prefix="/usr")
    assert list(isolation.find_uv_system_python(base)) == []


def test_later_rules_ignore_what_an_earlier_finding_removes() -> None:
    """The numpy on PYTHONPATH is too old, but unsetting the variable is enough."""
    session = facts(
        dist("numpy", "1.20", root="/old", info="/old/numpy.dist-info"),
        dist("numpy", "2.1"),
        dist("scipy", requires=("numpy>=2",)),
        path=("/old", SITE),
        environ={"PYTHONPATH": "/old"},
    )
    assert [finding.code for finding in run_rules(session, RULES.values())] == ["CE301"]
