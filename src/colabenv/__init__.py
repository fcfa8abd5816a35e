"""colabenv: isolated, locked environments for notebooks on Google Colab.

Importing this package costs nothing: everything else is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colabenv.commands.results import UpResult

__all__ = ["__version__", "up"]

__version__ = "0.1.0"


def up(profile: str, **options: Any) -> UpResult:
    """Build the environment that `profile` describes and register its kernel, from Python.

    Args:
        profile: path of a YAML profile.
        options: the fields of `colabenv.commands.up.UpOptions`, such as `variant="cpu"` or `frozen=True`.

    Returns:
        What was built, as `colabenv up --json` prints it.

    Raises:
        colabenv.errors.ColabenvError: with a hint on what to do, whenever the job cannot be done.
    """
    from colabenv.notebook.api import up as run_up  # noqa: PLC0415 - keeps `import colabenv` free

    return run_up(profile, **options)
