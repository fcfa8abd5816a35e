"""The packages that an environment contains for its kernel, and in which versions. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

#: In every environment, so that `!pip` uses it.
ALWAYS_INSTALLED = ("pip",)
#: What the modules of `google.colab` import, except patches, sheets and ai, whose packages belong in a profile.
#: anywidget 0.1.0 changes the display of IPython when it is imported, before a kernel has one.
_COLAB_MODULES = (
    *("anywidget>=0.1.1", "google-auth", "httplib2", "packaging", "pexpect"),
    *("portpicker", "psutil", "requests", "tornado"),
)
#: What a kernel of class `google.colab._kernel.Kernel` needs, in the versions that it works with.
_COLAB_REQUIREMENTS = (
    "ipykernel==6.17.1; python_version >= '3.8'",
    # The last release for Python 3.7.
    "ipykernel==6.16.2; python_version < '3.8'",
    "ipython==7.34.0",
    "ipython-genutils",
    "ipywidgets>=7.7.1",
    *_COLAB_MODULES,
    "numpy",
    "pillow",
    *ALWAYS_INSTALLED,
)
#: What Colab installs with that ipykernel.
_COLAB_CONSTRAINTS = ("jupyter-client<8",)
#: 6.16 is the last line for Python 3.7.
_PLAIN_REQUIREMENTS = ("ipykernel>=6.16", *ALWAYS_INSTALLED)
#: Plots, with each matplotlib: a notebook may install an older one later, so these do not depend on the profile's.
#: matplotlib-inline 0.2 declares no matplotlib but needs 3.7 (`RcParams._get`). IPython 9.16 has no `backend2gui`, with
#: which matplotlib before 3.9 finds the kernel. Tried in November 2026 with 3.0 to 3.11 on Python 3.7 to 3.13.
_PLOT_CONSTRAINTS = ("matplotlib-inline<0.2", "ipython<9.16")
#: Widgets. Colab's page shows those of ipywidgets 7, whose widgets have another protocol than those of 8. ipywidgets 7
#: needs a notebook server; 6.4 is its last line without JupyterLab.
_COLAB_PAGE_CONSTRAINTS = ("ipywidgets<8", "notebook<6.5")

#: What the kernel needs and no notebook requests. With `as_of`, these may be newer than the day, up to `find_day`:
#: ipykernel 6.17.1, for example, was released in November 2022.
KERNEL_PARTS = (
    *("ipykernel", "ipython", "ipython-genutils", "jedi", "parso", "prompt-toolkit", "wcwidth"),
    *("backcall", "pickleshare", "ptyprocess", "traitlets", "matplotlib-inline"),
    *("comm", "debugpy", "jupyter-client", "jupyter-core", "pyzmq", "tornado", "nest-asyncio"),
    *("psutil", "portpicker", "pip", "ipywidgets", "widgetsnbextension", "jupyterlab-widgets"),
    *("anywidget", "psygnal", "notebook", "nbformat", "nbconvert", "nbclient", "terminado"),
    *("prometheus-client", "argon2-cffi", "argon2-cffi-bindings"),
)
#: Minor Python to the first day on which all of these have wheels for it, Colab's kernel included: tried month by
#: month against the package index in November 2026.
_DAYS = {"3.12": "2023-09-30", "3.13": "2024-10-31", "3.14": "2025-09-30"}
_DAY = "2023-02-28"


@dataclass(frozen=True)
class KernelPackages:
    """What an environment must contain for its kernel.

    Attributes:
        kernel: "colab" or "plain".
        requirements: PEP 508 lines.
        constraints: PEP 508 lines.
    """

    kernel: str
    requirements: tuple[str, ...]
    constraints: tuple[str, ...]


def list_kernels(google_colab: str, lines: Iterable[str]) -> tuple[KernelPackages, ...]:
    """The kernels that a profile allows, the best one first.

    Of each kind there are two: with the versions that plots and widgets work with, and without, for a profile that
    excludes them. If the profile names one of these packages, only that one gives way. The last ones have ipykernel's
    class and lack what the modules of `google.colab` import.

    Args:
        google_colab: the profile's `kernel.google_colab`.
        lines: the profile's requirements.
    """
    shown = _PLOT_CONSTRAINTS if google_colab == "off" else (*_PLOT_CONSTRAINTS, *_COLAB_PAGE_CONSTRAINTS)
    named = {canonicalize_name(Requirement(line).name) for line in lines}
    others = tuple(constraint for constraint in shown if Requirement(constraint).name not in named)
    limits = (shown, others if others != shown else ())
    colab = [KernelPackages("colab", _COLAB_REQUIREMENTS, (*_COLAB_CONSTRAINTS, *limit)) for limit in limits]
    plain = [KernelPackages("plain", _PLAIN_REQUIREMENTS, limit) for limit in limits]
    with_modules = (*_PLAIN_REQUIREMENTS, *_COLAB_MODULES)
    modules = [KernelPackages("plain", with_modules, limit) for limit in limits]
    return tuple({"off": plain, "on": colab}.get(google_colab, [*colab, *modules, *plain]))


def find_day(python: str) -> str:
    """The day until which the kernel's parts may be newer than `as_of`, for a minor Python."""
    return _DAYS.get(python, _DAY)
