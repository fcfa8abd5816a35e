"""Export a lock as a conda environment.yml: Python from conda, everything else in the pip section.

conda passes the pip section to pip as a requirements file (`conda/env/installers/pip.py`), so hashes and options work.
"""

from __future__ import annotations

import json

from colabenv.export.model import (
    ExportedFile,
    ExportRequest,
    format_pin,
    list_pip_options,
    note_indexes,
    render_header,
)


def export(request: ExportRequest) -> ExportedFile:
    """Export a lock. Values are in double quotes, whose escapes YAML and JSON share."""
    pip = [*list_pip_options(request), *(format_pin(pin) for pin in request.lock.pins)]
    variables = {"PYTHONNOUSERSITE": "1", **request.variables}
    lines = [
        *render_header(request, "A conda environment"),
        f"name: {json.dumps(request.name)}",
        "channels:",
        "  - conda-forge",
        "  - nodefaults",
        "dependencies:",
        f"  - {json.dumps('python=' + request.python)}",
        "  - pip",
        "  - pip:",
        *(f"      - {json.dumps(line)}" for line in pip),
        "variables:",
        *(f"  {name}: {json.dumps(value)}" for name, value in variables.items()),
    ]
    notes = [
        f"Python {request.python} comes from conda-forge and is the only part whose hash is not checked."
    ]
    if request.variant == "gpu":
        notes.append(
            "environment.yml cannot set LD_LIBRARY_PATH to folders of the environment. If TensorFlow finds no GPU, add "
            "the nvidia/*/lib folders of its site-packages to that variable."
        )
    return ExportedFile(
        text="\n".join(lines) + "\n",
        file_name="environment.yml",
        use=("conda env create -f FILE", f"conda activate {request.name}"),
        notes=(*notes, *note_indexes(request)),
    )
