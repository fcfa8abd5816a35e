"""Export a lock as a requirements file with hashes for pip and uv."""

from __future__ import annotations

from colabenv.export.model import (
    ExportedFile,
    ExportRequest,
    list_pip_options,
    note_indexes,
    note_variables,
    render_header,
)
from colabenv.lock.lockfile import Pin


def export(request: ExportRequest) -> ExportedFile:
    """Export a lock: options first, then the pins as in the lock."""
    lines = [
        *render_header(request, "The environment"),
        f"# It needs Python {request.python_minor}.",
        "--require-hashes",
        *list_pip_options(request),
        *(line for pin in request.lock.pins for line in _format_lines(pin)),
    ]
    return ExportedFile(
        text="\n".join(lines) + "\n",
        file_name="requirements.txt",
        use=(
            f"python{request.python_minor} -m venv ENV && ENV/bin/pip install --no-deps -r FILE",
            "or: uv pip sync FILE",
        ),
        notes=(*note_variables(request), *note_indexes(request)),
    )


def _format_lines(pin: Pin) -> list[str]:
    """A pin and its hashes, a line each, as in the lock."""
    parts = [f"{pin.name}=={pin.version}", *(f"    --hash={value}" for value in pin.hashes)]
    return [*(f"{part} \\" for part in parts[:-1]), parts[-1]]
