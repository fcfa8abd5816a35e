"""colabenv: isolated, locked environments for notebooks on Google Colab.

`import colabenv` is fast: other modules are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colabenv.output.results import Result

__all__ = ["__version__", "load_ipython_extension", "unload_ipython_extension", "up"]

__version__ = "0.1.0"


def up(profile: str | None = None, **options: Any) -> Result:
    """Build the environment of a profile or a notebook and register its kernel, from Python.

    Args:
        profile: path or address of a profile or a notebook, or `builtin:NAME`; by default, the open notebook.
        options: those of `colabenv up`, such as `store` and `dry_run`; `verbose`; and `restart`, which restarts the
            session into the environment. See `colabenv.notebook.api.up`.

    Returns:
        What was built, as `colabenv up --json` prints it.

    Raises:
        colabenv.errors.ColabenvError: the environment cannot be built, or an option is wrong; its hint says what to do.
    """
    from colabenv.notebook.api import up as run_up  # noqa: PLC0415 - keeps `import colabenv` free

    return run_up(profile, **options)


def load_ipython_extension(shell: Any) -> None:
    """Called by `%load_ext colabenv`: register the magics `%colabenv`, `%%base` and `%%env`."""
    from colabenv.notebook import magics  # noqa: PLC0415

    magics.load_ipython_extension(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Called by `%unload_ext colabenv`: remove the magics, and end the kernels of environments."""
    from colabenv.notebook import magics  # noqa: PLC0415

    magics.unload_ipython_extension(shell)
