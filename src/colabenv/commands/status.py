"""`status`: list environments."""

from __future__ import annotations

import time
from pathlib import Path

from colabenv.commands.context import Context
from colabenv.environment.build import read_environment
from colabenv.errors import UsageError, quote_name
from colabenv.kernel import warm
from colabenv.kernel.register import find_kernels_folder, list_registered_names, read_registered_spec
from colabenv.kernel.spec import kernel_name
from colabenv.output.environments import StatusResult, StatusRow
from colabenv.system.files import measure_free_space, measure_tree
from colabenv.system.units import format_bytes


def status(context: Context, name: str | None = None) -> StatusResult:
    """All environments, or those of one name. Raises UsageError if there is no environment of that name."""
    kernels = find_kernels_folder(context.environ)
    rows = [
        _make_row(folder, kernels)
        for folder in sorted(context.home.envs.glob("[!.]*/[!.]*"))
        if folder.is_dir() and name in {None, folder.parent.name}
    ]
    ready = {row.name for row in rows if row.state == "ready"}
    orphans = tuple(
        registered
        for registered in list_registered_names(kernels)
        if name in {None, registered} and registered not in ready
    )
    if name is not None and not rows and not orphans:
        raise UsageError(
            f"There is no environment named {quote_name(name)}.",
            hint="To list all environments: colabenv status",
        )
    host = context.host()
    return StatusResult(
        home=str(context.home.root),
        host=host.kind,
        free_bytes=measure_free_space(context.home.root),
        gpus=tuple(gpu.name for gpu in host.gpus),
        environments=tuple(rows),
        orphans=orphans,
    )


def _make_row(folder: Path, kernels: Path) -> StatusRow:
    name = folder.parent.name
    environment = read_environment(folder)
    spec = read_registered_spec(name, kernels)
    if environment is None:
        state = "broken"
    elif spec is None:
        state = "unregistered"
    else:
        digest = spec.get("metadata", {}).get("colabenv", {}).get("digest")
        state = "ready" if digest == folder.name else "older"
    stamp = environment.stamp if environment else None
    return StatusRow(
        name=name,
        digest=folder.name,
        state=state,
        python=stamp.python if stamp else "",
        variant=stamp.variant if stamp else "",
        packages=stamp.packages if stamp else 0,
        bytes=measure_tree(folder),
        built=time.strftime("%Y-%m-%d %H:%M", time.localtime(stamp.built)) if stamp else "",
        environment=str(folder),
        kernel_name=kernel_name(name),
        warm=_describe_warm_process(folder),
    )


def _describe_warm_process(folder: Path) -> str:
    process = warm.find_warm_process(folder)
    if process is None:
        return ""
    state = "a warm kernel is ready" if process.ready else "a kernel is warming up"
    minutes = max(1, round(process.seconds / 60))
    memory = format_bytes(process.bytes)
    return f"{state} ({', '.join(process.modules)}; {memory} of memory; ends in {minutes} min if unused)"
