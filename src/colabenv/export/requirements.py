"""The lock as a requirements file that pip and uv install with hashes checked. Pure."""

from __future__ import annotations

from colabenv.export.model import Export, ExportRequest, about, indexes_note, pip_options, variables_note
from colabenv.lock.lockfile import Pin


def export(subject: ExportRequest) -> Export:
    """Write it: options first, then the pins, one paragraph each as in the lock."""
    lines = [
        *about(subject, "The environment"),
        f"# It takes a Python {subject.python_minor}.",
        "--require-hashes",
        *pip_options(subject),
        *(line for pin in subject.lock.pins for line in paragraph(pin)),
    ]
    return Export(
        text="\n".join(lines) + "\n",
        file_name="requirements.txt",
        use=(
            f"python{subject.python_minor} -m venv ENV && ENV/bin/pip install --no-deps -r FILE",
            "or: uv pip sync FILE",
        ),
        notes=(*variables_note(subject), *indexes_note(subject)),
    )


def paragraph(pin: Pin) -> list[str]:
    """A pin and its hashes, a line each, as `lock.model.dump` has them."""
    parts = [f"{pin.name}=={pin.version}", *(f"    --hash={value}" for value in pin.hashes)]
    return [*(f"{part} \\" for part in parts[:-1]), parts[-1]]
