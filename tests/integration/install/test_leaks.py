"""Settings for the machine's own Python are ignored; the user's settings for downloads take effect."""

from __future__ import annotations

from support.index_server import Index
from support.packages import wheel
from support.user_machine import TINY, UserMachine

TRAP = "raise SystemExit('a file of the base ran')\n"


def test_settings_of_the_base_are_ignored(machine: UserMachine) -> None:
    outside, trap = machine.root / "outside", machine.root / "trap"
    trap.mkdir()
    for name in ("sitecustomize.py", "usercustomize.py", "ipykernel.py", "tiny.py"):
        (trap / name).write_text(TRAP)
    # uv and pip would read these; the first two from the working directory.
    missing_index = 'index-url = "http://127.0.0.1:9/simple"\n'
    (machine.project / "uv.toml").write_text(missing_index + "no-index = true\n")
    (machine.project / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\nrequires-python = "<3.8"\n[tool.uv]\n' + missing_index
    )
    (machine.project / ".python-version").write_text("2.7\n")
    pip = machine.home / ".config" / "pip"
    pip.mkdir(parents=True)
    (pip / "pip.conf").write_text(f"[global]\ntarget = {outside}\nno-index = true\n[install]\nuser = true\n")
    leaked = {
        "UV_SYSTEM_PYTHON": "true",
        "UV_CONSTRAINT": "/nonexistent",
        "UV_BUILD_CONSTRAINT": "/nonexistent",
        "UV_TARGET": str(outside),
        "UV_PYTHON": "2.7",
        "UV_PROJECT_ENVIRONMENT": str(outside),
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PIP_TARGET": str(outside),
        "PIP_PREFIX": str(outside),
        "PIP_NO_INDEX": "1",
        "PIP_CONSTRAINT": "/nonexistent",
        "VIRTUAL_ENV": str(outside),
        "CONDA_PREFIX": str(outside),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    result = machine.up("-v", **leaked).expect(0)
    assert "a file of the base ran" not in result.text
    # PYTHONPATH and PYTHONHOME are set for the kernel only, since `up` itself could not start with them.
    machine.environ |= leaked | {
        "PYTHONHOME": "/nonexistent",
        "PYTHONPATH": str(trap),
        "PYTHONUSERBASE": str(trap),
    }
    assert machine.cell("import os, tiny; print(tiny.VERSION, os.environ.get('PYTHONPATH'))") == "1.0 None"
    assert not outside.exists()


def test_module_on_pythonpath_is_not_imported(machine: UserMachine) -> None:
    # The trap fails only inside environments, since colabenv itself runs with this PYTHONPATH, as on Colab.
    trap = machine.root / "trap"
    trap.mkdir()
    code = f"import sys\nif sys.prefix.startswith({str(machine.colabenv_home)!r}): {TRAP}"
    (trap / "sitecustomize.py").write_text(code)
    (trap / "tiny.py").write_text(code)
    machine.up(PYTHONPATH=str(trap)).expect(0)
    machine.assert_kernel_works()


def test_chosen_settings_take_effect(machine: UserMachine, index: Index) -> None:
    # The index comes from pip's file, the cache from a variable, and a wheel from a folder.
    for name in ("UV_DEFAULT_INDEX", "PIP_INDEX_URL"):
        del machine.environ[name]
    pip = machine.home / ".config" / "pip"
    pip.mkdir(parents=True)
    (pip / "pip.conf").write_text(f"[global]\nindex-url = {index.url}\n")
    wheels = machine.root / "wheels"
    wheels.mkdir()
    filename, data = wheel("local", "1.0")
    (wheels / filename).write_bytes(data)
    machine.profile.write_text(TINY.replace("[tiny]\n", "[tiny, local]\n", 1))
    machine.up(UV_FIND_LINKS=str(wheels)).expect(0)
    assert machine.cell("import local; print(local.VERSION)") == "1.0"
    assert not (machine.colabenv_home / "cache" / "uv").exists()


def test_chosen_proxy_takes_effect(machine: UserMachine, index: Index) -> None:
    # Only the proxy knows the index's host. The proxy is the index itself, and gets requests with absolute URLs.
    machine.environ["UV_DEFAULT_INDEX"] = "http://index.invalid/simple"
    machine.up(HTTP_PROXY=index.site, http_proxy=index.site, UV_CONCURRENT_DOWNLOADS="4").expect(0)
    assert any("http://index.invalid/simple/tiny/" in request for request in index.requests)
    machine.assert_kernel_works()
