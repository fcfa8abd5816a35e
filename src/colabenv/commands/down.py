"""`down`: remove an environment and its kernel."""

from __future__ import annotations

from colabenv.commands.context import Context
from colabenv.errors import UsageError, quote_name
from colabenv.kernel import register, warm
from colabenv.kernel.spec import kernel_name
from colabenv.output.environments import DownResult
from colabenv.system.files import measure_tree, remove_tree


def down(context: Context, name: str) -> DownResult:
    """Remove a kernel and all environments of its name. The profile and the lock stay.

    Raises:
        UsageError: there is no environment of that name.
        DiskError: something cannot be removed.
    """
    folder = context.home.envs / name
    kernels = register.find_kernels_folder(context.environ)
    is_valid = bool(name) and "/" not in name and not name.startswith(".")
    if not is_valid or not (folder.exists() or register.read_registered_spec(name, kernels)):
        existing = sorted(path.name for path in context.home.envs.glob("[!.]*"))
        hint = "Build one with: colabenv up PROFILE"
        if existing:
            hint = f"Existing environments: {', '.join(existing)}."
        raise UsageError(f"There is no environment named {quote_name(name)}.", hint=hint)
    removed = []
    with context.hold_environment(name):
        if register.unregister_kernel(name, kernels):
            removed.append(str(kernels / kernel_name(name)))
        freed = measure_tree(folder)
        for prefix in folder.glob("[!.]*"):
            warm.end_warm_process(prefix)
        if folder.exists():
            remove_tree(folder)
            removed.append(str(folder))
    return DownResult(name=name, removed=tuple(removed), freed_bytes=freed)
