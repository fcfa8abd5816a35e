"""Export a lock as a runtime environment of Ray.

Ray (2.60) copies the cluster's environment on each node and passes `uv.packages` to uv as a requirements file, so
hashes and options work (`_private/runtime_env/uv.py` in Ray). It refuses an environment that changes Ray itself.
"""

from __future__ import annotations

import json

from colabenv.export.model import ExportedFile, ExportRequest, format_pin, note_indexes


def export(request: ExportRequest) -> ExportedFile:
    """Export a lock as JSON, which `ray job submit` reads as YAML and `json.load` as JSON."""
    pins = [pin for pin in request.lock.pins if pin.name != "ray"]
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:"]
    for name in request.built_from_source:
        options += ["--no-binary", name]
    for _, url in request.indexes:
        options += ["--index", url]
    runtime = {
        "uv": {"packages": [format_pin(pin) for pin in pins], "uv_pip_install_options": options},
        "env_vars": {"PYTHONNOUSERSITE": "1", **request.variables},
    }
    notes = [
        f"The cluster's nodes need Python {request.python_minor} and ray[default]. Their other packages stay visible."
    ]
    version = request.lock.version_of("ray")
    if version is not None:
        notes.append(
            f"Ray is left out, because the cluster has its own. It should be {version}, as in the lock."
        )
    if request.variant == "gpu":
        notes.append(
            "Ray's environments cannot set LD_LIBRARY_PATH to their own folders. From 2.14 on, TensorFlow finds most "
            "CUDA libraries without it, except 2.16.1 and 2.21."
        )
    return ExportedFile(
        text=json.dumps(runtime, indent=1) + "\n",
        file_name="runtime_env.json",
        use=(
            'in Python: ray.init(address="auto", runtime_env=json.load(open("FILE")))',
            "or: ray job submit --runtime-env FILE -- python script.py",
        ),
        notes=(*notes, *note_indexes(request)),
    )
