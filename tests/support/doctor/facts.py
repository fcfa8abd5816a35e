"""Hand-made facts for unit tests of the checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from colabenv.doctor.checks import diagnose
from colabenv.doctor.model import Distribution, Facts, Finding, ModuleLocation
from colabenv.doctor.tracebacks import read_tracebacks

SITE = "/env/lib/python3.11/site-packages"
SOABI = "cpython-311-x86_64-linux-gnu"
MARKERS = {
    "python_version": "3.11",
    "python_full_version": "3.11.7",
    "sys_platform": "linux",
    "platform_machine": "x86_64",
}


def dist(name: str, version: str = "1.0", *requires: str, **fields: Any) -> Distribution:
    """A complete distribution with one module, installed by pip."""
    root = fields.get("root", SITE)
    module = "google" if name == "protobuf" else name.replace("-", "_")
    defaults = {
        "root": root,
        "info": f"{root}/{name}-{version}.dist-info",
        "installer": "pip",
        "files": 10,
        "modules": (module,),
        "requires": requires,
    }
    return Distribution(name, version, **{**defaults, **fields})


def facts(
    *distributions: Distribution,
    error: str = "",
    modules: Mapping[str, Any] | None = None,
    extra_modules: tuple[str, ...] = (),
    **fields: Any,
) -> Facts:
    """Facts of a virtual environment with CPython 3.11 on Linux.

    Args:
        distributions: what is installed.
        error: the traceback of a failed import.
        modules: locations of modules; by default one for each module of the distributions.
        extra_modules: further modules to locate.
        fields: other fields of `Facts`.
    """
    if modules is None:
        modules = modules_of(*extra_modules, *(module for each in distributions for module in each.modules))
    defaults = {
        "python": (3, 11, 7),
        "executable": "/env/bin/python",
        "prefix": "/env",
        "base_prefix": "/usr",
        "soabi": SOABI,
        "markers": MARKERS,
        "distributions": distributions,
        "errors": tuple(read_tracebacks(error, "import it")),
        "modules": modules,
    }
    return Facts("this Python", **{**defaults, **fields})


def modules_of(*names: str) -> dict[str, tuple[ModuleLocation, ...]]:
    """Packages in the environment's site-packages."""
    return {name: (ModuleLocation("package", f"{SITE}/{name}/__init__.py", SITE),) for name in names}


def only_finding(facts: Facts, code: str) -> Finding:
    """Return the only finding, which must have this code."""
    findings = diagnose(facts)
    assert [finding.code for finding in findings] == [code], findings
    return findings[0]


def fix_arguments(finding: Finding) -> tuple[str, ...]:
    """The arguments of all fixes of a finding."""
    return tuple(argument for fix in finding.fixes for argument in fix.arguments)


def traceback(last: str, *files: str) -> str:
    """A traceback that ends with the line `last` and has a frame in each of these files of site-packages."""
    frames = "".join(f'  File "{SITE}/{file}", line 1, in <module>\n    import it\n' for file in files)
    return f"Traceback (most recent call last):\n{frames}{last}\n"
