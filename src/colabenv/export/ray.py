"""The lock as a runtime environment of Ray, for work that outgrows one machine. Pure.

Ray (2.60) makes a virtual environment on each node, which starts as the cluster's own, and has uv install the lines of
`uv.packages` there as a requirements file; so hashes and options of uv work (`_private/runtime_env/uv.py` in Ray).
The Python is the cluster's, and it refuses an environment that changes Ray itself.
"""

from __future__ import annotations

import json

from colabenv.export.model import Export, ExportRequest, hashed, indexes_note


def export(subject: ExportRequest) -> Export:
    """Write it as JSON, which is YAML as well: `ray job submit` reads the one, `json.load` the other."""
    pins = [pin for pin in subject.lock.pins if pin.name != "ray"]
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:"]
    for name in subject.built_from_source:
        options += ["--no-binary", name]
    for _, url in subject.indexes:
        options += ["--index", url]
    runtime = {
        "uv": {"packages": [hashed(pin) for pin in pins], "uv_pip_install_options": options},
        "env_vars": {"PYTHONNOUSERSITE": "1", **subject.variables},
    }
    notes = [
        f"The nodes of the cluster have to run on Python {subject.python_minor} and to have ray[default]. Packages "
        "that the nodes have and the lock does not are seen as well."
    ]
    own = subject.lock.version_of("ray")
    if own is not None:
        notes.append(
            f"Ray is left out, since the cluster brings its own. Let it be {own}, as the lock has it."
        )
    if subject.variant == "gpu":
        notes.append(
            "Ray's environments cannot set LD_LIBRARY_PATH to folders of their own. TensorFlow from 2.14 on finds most "
            "CUDA libraries without it; 2.16.1 and 2.21 do not."
        )
    return Export(
        text=json.dumps(runtime, indent=1) + "\n",
        file_name="runtime_env.json",
        use=(
            'in Python: ray.init(address="auto", runtime_env=json.load(open("FILE")))',
            "or: ray job submit --runtime-env FILE -- python script.py",
        ),
        notes=(*notes, *indexes_note(subject)),
    )
