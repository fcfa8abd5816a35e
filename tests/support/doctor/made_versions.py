"""Facts made by hand, for the unit tests of the checks on versions: distributions with what they require."""

from __future__ import annotations

from colabenv.doctor.checks import diagnose
from colabenv.doctor.model import Distribution, Facts, Finding, ModuleLocation, NameUsage
from colabenv.doctor.tracebacks import read_tracebacks

SITE = "/env/lib/python3.11/site-packages"
MARKERS = {"python_version": "3.11", "python_full_version": "3.11.7", "sys_platform": "linux"}


def dist(name: str, version: str, *requires: str, extensions: bool = False, root: str = SITE) -> Distribution:
    """An installed distribution that requires others."""
    module = {"protobuf": "google"}.get(name, name.replace("-", "_"))
    return Distribution(
        name=name,
        version=version,
        root=root,
        info=f"{root}/{name}-{version}.dist-info",
        requires=requires,
        modules=(module,),
        extensions=("cpython-311-x86_64-linux-gnu",) if extensions else (),
    )


def facts(
    *distributions: Distribution,
    python: tuple[int, int, int] = (3, 11, 7),
    said: str = "",
    modules: tuple[str, ...] = (),
    environ: dict[str, str] | None = None,
    usages: tuple[NameUsage, ...] = (),
) -> Facts:
    """Facts with these distributions and what an import said."""
    names = {*modules, *(module for one in distributions for module in one.modules)}
    return Facts(
        target="a test",
        python=python,
        markers=MARKERS,
        distributions=distributions,
        modules={name: (ModuleLocation("package", f"{SITE}/{name}/__init__.py", SITE),) for name in names},
        environ=environ or {},
        usages=usages,
        complaints=tuple(read_tracebacks(said, "import it")),
    )


def found(known: Facts, code: str) -> Finding:
    """The one finding, whose code must be this."""
    findings = diagnose(known)
    assert [finding.code for finding in findings] == [code], findings
    return findings[0]


def commands(finding: Finding) -> tuple[str, ...]:
    """The arguments of all its steps."""
    return tuple(one for step in finding.steps for one in step.arguments)


def raised(last: str, *frames: str) -> str:
    """A traceback that ends with a line and came by way of these files."""
    shown = "".join(f'  File "{SITE}/{frame}", line 1, in <module>\n    import it\n' for frame in frames)
    return f"Traceback (most recent call last):\n{shown}{last}\n"
