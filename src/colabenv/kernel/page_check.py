"""What of the check needs a notebook's page: an answer to `input()`, a widget and a plot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from packaging.version import Version

from colabenv.embedded.check_cell import INPUT_STEP, PLOT_STEP, WIDGET_STEP
from colabenv.errors import CheckError
from colabenv.kernel.cell_output import CellOutput

#: What the page answers to `input()`.
ANSWER: Final = "colabenv"
#: By step: what is broken, and the packages that have to fit each other.
_STEPS: Final = {
    INPUT_STEP: ("input() does not work", ("ipykernel", "jupyter-client", "pyzmq", "tornado")),
    WIDGET_STEP: ("widgets do not work", ("ipywidgets", "ipykernel", "traitlets", "comm")),
    PLOT_STEP: ("plots do not work", ("matplotlib", "matplotlib-inline", "ipython", "numpy")),
}
#: (package, its first release that needs it, the release of matplotlib that it needs for plots). No metadata declares
#: these.
_NEEDED_MATPLOTLIB: Final = (("matplotlib-inline", "0.2", "3.7"), ("ipython", "9.16", "3.9"))


def is_page_step(step: str) -> bool:
    """Whether a step of the check needs the page."""
    return step in _STEPS


def require_page_output(report: Mapping[str, Any], output: CellOutput, versions: Mapping[str, str]) -> None:
    """Check that the page received the widget and the plots.

    Args:
        report: the result of `check_cell.run_page_checks`.
        output: what its cell sent.
        versions: locked version by distribution, for the hint.

    Raises:
        CheckError: something did not arrive.
    """
    widget = report["widget"]
    if widget and widget not in output.models & output.views:
        raise describe_page_failure(WIDGET_STEP, "none arrives in the notebook", versions, output.text)
    if output.images < report["plots"]:
        raise describe_page_failure(PLOT_STEP, "none arrives in the notebook", versions, output.text)


def describe_page_failure(step: str, reason: str, versions: Mapping[str, str], detail: str) -> CheckError:
    """The error of a step that needs the page; `reason` is part of a sentence, `detail` shows what was printed."""
    broken, packages = _STEPS[step]
    return CheckError(
        f"The environment was built, but {broken} in its kernel: {reason}",
        hint=_explain_versions(step, {name: versions[name] for name in packages if name in versions}),
        detail=detail[-4000:],
    )


def _explain_versions(step: str, locked: Mapping[str, str]) -> str:
    """The hint about the locked versions of the packages that have to fit each other."""
    matplotlib = locked.get("matplotlib", "")
    for package, first, needed in _NEEDED_MATPLOTLIB if step == PLOT_STEP else ():
        version = locked.get(package, "0")
        if Version(version) >= Version(first) and Version(matplotlib) < Version(needed):
            return (
                f"{package} {version} needs matplotlib {needed} or newer for plots, and the lock has {matplotlib}. "
                f"Require matplotlib>={needed}; or remove {package} from the profile if it is there, and run "
                f"colabenv lock PROFILE --upgrade {package}."
            )
    listed = ", ".join(f"{name} {version}" for name, version in locked.items())
    return (
        f"These versions may not work together: {listed}. Change those that the profile names; for others, run "
        f"colabenv lock PROFILE --upgrade {' '.join(locked)}."
    )
