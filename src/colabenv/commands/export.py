"""`export`: write a lock in the format of another tool."""

from __future__ import annotations

from pathlib import Path

from colabenv.commands.context import Context
from colabenv.export.formats import (
    export_lock,
    is_profile,
    request_environment,
    request_profile,
    write_export,
)
from colabenv.frameworks.plan import choose_supported_variant
from colabenv.kernel.lookup import find_environment
from colabenv.output.export import ExportResult
from colabenv.profile.load import load


def export(
    context: Context,
    name: str,
    *,
    format: str,  # noqa: A002 - the option's name
    output: str = "",
    variant: str = "auto",
) -> ExportResult:
    """Export the lock of an environment, a profile or a notebook to a file, or print it.

    Raises:
        UsageError: there is no such environment.
        LockError: the profile has no current lock.
        MachineError, NetworkError: a pylock needs the index, which cannot be used.
        DiskError: the file cannot be written.
    """
    environment = None if is_profile(name) else find_environment(name, context)
    reference = environment.stamp.profile if environment else context.find_profile(name).reference
    loaded = load(reference, context.profile_sources())
    if environment and variant in {"auto", environment.stamp.variant}:
        request = request_environment(environment, loaded, context)
    else:
        selected = choose_supported_variant(loaded, variant, context.host().variant)
        request = request_profile(reference, loaded, selected, context)
    exported = export_lock(format, request, loaded, context)
    files: tuple[str, ...] = ()
    if output:
        files = write_export(exported, Path(output))
    else:
        for note in exported.notes:  # on standard error, so that standard output has only the file
            context.progress.note(note)
    path = output or exported.file_name
    folder = str(Path(path).parent)
    return ExportResult(
        name=request.name,
        format=format,
        variant=request.variant,
        packages=len(request.lock.pins),
        text="" if files else exported.text,
        files=files,
        use=tuple(line.replace("FOLDER_OF_FILE", folder).replace("FILE", path) for line in exported.use),
        notes=exported.notes,
    )
