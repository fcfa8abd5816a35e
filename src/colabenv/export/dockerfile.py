"""Export a lock as a Dockerfile, which copies the lock from its folder (docs/decisions.md explains why)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from colabenv.export.model import ExportedFile, ExportRequest, render_header
from colabenv.lock.lockfile import format_lock, lock_file_name

#: The environment's folder in the image.
PREFIX = "/opt/colabenv"
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def export(request: ExportRequest) -> ExportedFile:
    """Export a lock."""
    lock = lock_file_name(request.name, request.variant)
    # The slim image has no compiler, which source builds may need.
    image = f"python:{request.python}" + ("" if request.built_from_source else "-slim")
    lines = [
        *render_header(request, "An image"),
        f"# {lock} must be in the build folder.",
        f"FROM {image}",
        f"COPY {json.dumps([lock, PREFIX + '.lock.txt'])}",
        *_install_lines(request),
        *(_cuda_lines() if _has_cuda(request) else []),
        *_variable_lines(request),
        'CMD ["python"]',
    ]
    return ExportedFile(
        text="\n".join(lines) + "\n",
        file_name="Dockerfile",
        use=(
            f"docker build -t {request.name}{_secret_options(request)} -f FILE FOLDER_OF_FILE",
            f"docker run {'--gpus all ' if request.variant == 'gpu' else ''}-it {request.name} python",
        ),
        notes=tuple(_notes(request)),
        beside=((lock, format_lock(request.lock)),),
    )


def _notes(request: ExportRequest) -> Iterator[str]:
    for name, url in request.indexes:
        if url.startswith("file:"):
            yield f"The index {name} is a local folder: copy it into the image first."
    for name, value in request.variables.items():
        if not _is_single_line(value):
            yield f"The variable {name} is left out, because a Dockerfile cannot set a value with several lines."


def _install_lines(request: ExportRequest) -> list[str]:
    options = ["--no-cache-dir", "--no-deps", "--require-hashes", "--only-binary :all:"]
    options += [f"--no-binary {name}" for name in request.built_from_source]
    # In double quotes, the shell replaces the variables. They are build secrets and are not stored in a layer.
    options += [f'--extra-index-url "{url}"' for _, url in request.indexes]
    mounts = "".join(f"--mount=type=secret,id={name} " for name in _find_secrets(request))
    exports = "".join(f'export {name}="$(cat /run/secrets/{name})" && ' for name in _find_secrets(request))
    # Use the image's pip: a pip in the venv would add a setuptools that is not in the lock.
    return [
        f"RUN {mounts}{exports}python -m venv --without-pip {PREFIX} && \\",
        f"    python -I -m pip --python {PREFIX} install \\",
        *(f"    {option} \\" for option in options),
        f"    -r {PREFIX}.lock.txt",
    ]


def _find_secrets(request: ExportRequest) -> list[str]:
    return sorted({name for _, url in request.indexes for name in _VARIABLE.findall(url)})


def _secret_options(request: ExportRequest) -> str:
    return "".join(f" --secret id={name},env={name}" for name in _find_secrets(request))


def _cuda_lines() -> list[str]:
    """Links to the files of the CUDA wheels at fixed paths, as in `launcher.find_cuda_folders`."""
    return [
        f"RUN mkdir -p {PREFIX}/cuda/lib && cd {PREFIX}/lib/python3.*/site-packages/nvidia && \\",
        f'    for file in */lib/*.so*; do ln -sf "$PWD/$file" {PREFIX}/cuda/lib/; done && \\',
        f'    for file in */bin/ptxas; do [ ! -e "$file" ] || ln -sf "$PWD/$file" {PREFIX}/bin/; done && \\',
        f'    for folder in */nvvm; do [ ! -d "$folder" ] || ln -sfn "$PWD/$folder" {PREFIX}/cuda/nvvm; done',
    ]


def _has_cuda(request: ExportRequest) -> bool:
    return any(pin.name.startswith("nvidia-") for pin in request.lock.pins)


def _variable_lines(request: ExportRequest) -> list[str]:
    variables = {"VIRTUAL_ENV": PREFIX, "PATH": f"{PREFIX}/bin:$PATH", "PYTHONNOUSERSITE": "1"}
    if _has_cuda(request):
        variables["LD_LIBRARY_PATH"] = f"{PREFIX}/cuda/lib"
        if any("nvcc" in pin.name for pin in request.lock.pins):
            variables["XLA_FLAGS"] = f"--xla_gpu_cuda_data_dir={PREFIX}/cuda"
        variables |= {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
    profile_variables = {
        name: _escape(value) for name, value in request.variables.items() if _is_single_line(value)
    }
    return [f'ENV {name}="{value}"' for name, value in {**variables, **profile_variables}.items()]


def _is_single_line(value: str) -> bool:
    return len(value.splitlines()) <= 1 and not value.endswith("\n")


def _escape(value: str) -> str:
    r"""A value for ENV in double quotes, where `\`, `"` and `$` are special."""
    return re.sub(r'([\\"$])', r"\\\1", value)
