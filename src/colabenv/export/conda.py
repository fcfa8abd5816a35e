"""The lock as a conda environment.yml: conda brings Python, its pip section the rest. Pure.

conda writes the pip section to a requirements file as it stands and has pip install that (`conda/env/installers/pip.py`
in conda's source), so hashes and options of pip work in it.
"""

from __future__ import annotations

import json

from colabenv.export.model import Export, ExportRequest, about, hashed, indexes_note, pip_options


def export(subject: ExportRequest) -> Export:
    """Write it. Texts are in double quotes, whose escapes YAML shares with JSON."""
    pip = [*pip_options(subject), *(hashed(pin) for pin in subject.lock.pins)]
    lines = [
        *about(subject, "A conda environment"),
        f"name: {json.dumps(subject.name)}",
        "channels:",
        "  - conda-forge",
        "  - nodefaults",
        "dependencies:",
        f"  - {json.dumps('python=' + subject.python)}",
        "  - pip",
        "  - pip:",
        *(f"      - {json.dumps(line)}" for line in pip),
    ]
    if variables := {"PYTHONNOUSERSITE": "1", **subject.variables}:
        lines.append("variables:")
        lines += [f"  {name}: {json.dumps(value)}" for name, value in variables.items()]
    notes = [f"Python itself comes from conda-forge, and is the only part without a hash ({subject.python})."]
    if subject.variant == "gpu":
        notes.append(
            "environment.yml cannot name folders of the environment, so LD_LIBRARY_PATH is not set. If TensorFlow "
            "sees no GPU, add the nvidia/*/lib folders of its site-packages to it."
        )
    return Export(
        text="\n".join(lines) + "\n",
        file_name="environment.yml",
        use=("conda env create -f FILE", f"conda activate {subject.name}"),
        notes=(*notes, *indexes_note(subject)),
    )
