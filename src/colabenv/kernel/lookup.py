"""Finds the environment of a name."""

from __future__ import annotations

from colabenv.environment.build import Environment, find_environments
from colabenv.errors import UsageError, quote_name
from colabenv.kernel.register import find_kernels_folder, read_registered_spec
from colabenv.system.workspace import Workspace


def find_environment(name: str, workspace: Workspace) -> Environment:
    """The environment whose kernel is registered as `name`, else the newest; raises `UsageError` if there is none."""
    is_name = bool(name) and "/" not in name and not name.startswith(".")
    environments = list(find_environments(workspace.home, name)) if is_name else []
    spec = read_registered_spec(name, find_kernels_folder(workspace.environ)) or {}
    digest = spec.get("metadata", {}).get("colabenv", {}).get("digest")
    registered = [environment for environment in environments if environment.stamp.digest == digest]
    if environments:
        return (registered or environments)[0]
    names = sorted({environment.stamp.name for environment in find_environments(workspace.home)})
    hint = f"Existing environments: {', '.join(names)}." if names else "Build one with: colabenv up PROFILE"
    raise UsageError(f"There is no environment named {quote_name(name)}.", hint=hint)
