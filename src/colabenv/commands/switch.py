"""`switch`: make an environment the session's default kernel, or go back."""

from __future__ import annotations

from colabenv.commands.context import Context
from colabenv.errors import UsageError
from colabenv.host.detect import detect_host_kind
from colabenv.kernel import default_kernel
from colabenv.kernel.lookup import find_environment
from colabenv.kernel.register import find_kernels_folder, read_registered_spec
from colabenv.output.environments import SwitchResult


def switch(context: Context, name: str | None = None, *, base: bool = False) -> SwitchResult:
    """Make the session's default kernel start in an environment, or in Colab's own Python again (`base`).

    Raises:
        UsageError: neither or both are given, or there is no such environment, or its kernel is not registered.
        DiskError: a file cannot be written or removed.
    """
    if base == (name is not None):
        raise UsageError(
            "Name an environment, or use --base.", hint="colabenv switch NAME, or colabenv switch --base"
        )
    host = detect_host_kind(context.environ)
    if name is None:
        removed = default_kernel.restore_default_kernel(context.home)
        return SwitchResult(name="", environment="", file=str(removed or ""), host=host)
    environment = find_environment(name, context)
    if read_registered_spec(name, find_kernels_folder(context.environ)) is None:
        raise UsageError(
            f"The kernel of {name} is not registered, because it has not passed its check.",
            hint=f"Run: colabenv up {environment.stamp.profile}",
        )
    switched = default_kernel.switch_default_kernel(
        name, environment.prefix, context.home, environment.stamp.profile
    )
    return SwitchResult(name=name, environment=str(switched.prefix), file=str(switched.file), host=host)
