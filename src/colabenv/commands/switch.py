"""`switch`: an environment as the session's default kernel, and back."""

from __future__ import annotations

from colabenv.commands.context import Context
from colabenv.errors import UsageError
from colabenv.host.detect import detect_host_kind
from colabenv.kernel import default_kernel
from colabenv.kernel.lookup import find_environment
from colabenv.kernel.register import find_kernels_folder, read_registered_spec
from colabenv.output.results import SwitchResult


def switch(context: Context, name: str | None = None, *, base: bool = False) -> SwitchResult:
    """Have the session's default kernel start in the environment `name`, or in Colab's own Python again.

    Args:
        context: the machine.
        name: of an environment whose kernel is registered; None with `base`.
        base: go back.

    Raises:
        UsageError: neither or both are given, or the environment is not there or was never proven.
        DiskError: a file could not be written or removed.
    """
    if base == (name is not None):
        raise UsageError(
            "Say which environment, or --base.", hint="colabenv switch NAME, or colabenv switch --base"
        )
    host = detect_host_kind(context.environ)
    if name is None:
        removed = default_kernel.restore_default_kernel(context.home)
        return SwitchResult(name="", environment="", file=str(removed or ""), host=host)
    environment = find_environment(name, context)
    if read_registered_spec(name, find_kernels_folder(context.environ)) is None:
        raise UsageError(
            f"The environment {name} has not passed its proof, so no session may depend on it.",
            hint=f"Run: colabenv up {environment.stamp.profile}",
        )
    made = default_kernel.switch_default_kernel(
        name, environment.prefix, context.home, environment.stamp.profile
    )
    return SwitchResult(name=name, environment=str(made.prefix), file=str(made.file), host=host)
