"""The lock as a Dockerfile that builds the same environment from the same hashes. Pure.

It copies the lock, so the lock's file has to lie in the build's folder; docs/decisions.md says why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from colabenv.export.model import Export, ExportRequest, about
from colabenv.lock.lockfile import format_lock, lock_file_name

#: Where the environment lies in the image.
PREFIX = "/opt/colabenv"
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def export(subject: ExportRequest) -> Export:
    """Write it."""
    lock = lock_file_name(subject.name, subject.variant)
    # The slim image has no compiler, which a package without wheels wants.
    image = f"python:{subject.python}" + ("" if subject.built_from_source else "-slim")
    lines = [
        *about(subject, "An image"),
        f"# {lock} has to lie in the folder that is built.",
        f"FROM {image}",
        f"COPY {json.dumps([lock, PREFIX + '.lock.txt'])}",
        *_install(subject),
        *(_cuda() if _has_cuda(subject) else []),
        *_variables(subject),
        'CMD ["python"]',
    ]
    return Export(
        text="\n".join(lines) + "\n",
        file_name="Dockerfile",
        use=(
            f"docker build -t {subject.name}{_secrets_use(subject)} -f FILE FOLDER_OF_FILE",
            f"docker run {'--gpus all ' if subject.variant == 'gpu' else ''}-it {subject.name} python",
        ),
        notes=tuple(_notes(subject)),
        beside=((lock, format_lock(subject.lock)),),
    )


def _notes(subject: ExportRequest) -> Iterator[str]:
    for name, url in subject.indexes:
        if url.startswith("file:"):
            yield f"The index {name} is a folder, which is not in the image: copy it there first."
    for name, value in subject.variables.items():
        if not _fits(value):
            yield f"The variable {name} has several lines, which a Dockerfile cannot say: it is left out."


def _install(subject: ExportRequest) -> list[str]:
    options = ["--no-cache-dir", "--no-deps", "--require-hashes", "--only-binary :all:"]
    options += [f"--no-binary {name}" for name in subject.built_from_source]
    # Double quotes: the shell fills in the variables, which are build secrets and stay in no layer.
    options += [f'--extra-index-url "{url}"' for _, url in subject.indexes]
    mounts = "".join(f"--mount=type=secret,id={name} " for name in _secrets(subject))
    read = "".join(f'export {name}="$(cat /run/secrets/{name})" && ' for name in _secrets(subject))
    # The image's pip installs: one of the venv's own would bring a setuptools that is not in the lock.
    return [
        f"RUN {mounts}{read}python -m venv --without-pip {PREFIX} && \\",
        f"    python -I -m pip --python {PREFIX} install \\",
        *(f"    {option} \\" for option in options),
        f"    -r {PREFIX}.lock.txt",
    ]


def _secrets(subject: ExportRequest) -> list[str]:
    return sorted({name for _, url in subject.indexes for name in _VARIABLE.findall(url)})


def _secrets_use(subject: ExportRequest) -> str:
    return "".join(f" --secret id={name},env={name}" for name in _secrets(subject))


def _cuda() -> list[str]:
    """Links to what the CUDA wheels brought, so that fixed variables can name them; as `launcher.cuda_folders` does."""
    return [
        f"RUN mkdir -p {PREFIX}/cuda/lib && cd {PREFIX}/lib/python3.*/site-packages/nvidia && \\",
        f'    for file in */lib/*.so*; do ln -sf "$PWD/$file" {PREFIX}/cuda/lib/; done && \\',
        f'    for file in */bin/ptxas; do [ ! -e "$file" ] || ln -sf "$PWD/$file" {PREFIX}/bin/; done && \\',
        f'    for folder in */nvvm; do [ ! -d "$folder" ] || ln -sfn "$PWD/$folder" {PREFIX}/cuda/nvvm; done',
    ]


def _has_cuda(subject: ExportRequest) -> bool:
    return any(pin.name.startswith("nvidia-") for pin in subject.lock.pins)


def _variables(subject: ExportRequest) -> list[str]:
    variables = {
        "VIRTUAL_ENV": PREFIX,
        "PATH": f"{PREFIX}/bin:$PATH",
        "PYTHONNOUSERSITE": "1",
    }
    if _has_cuda(subject):
        variables["LD_LIBRARY_PATH"] = f"{PREFIX}/cuda/lib"
        if any("nvcc" in pin.name for pin in subject.lock.pins):
            variables["XLA_FLAGS"] = f"--xla_gpu_cuda_data_dir={PREFIX}/cuda"
        variables |= {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
    own = {name: _escaped(value) for name, value in subject.variables.items() if _fits(value)}
    return [f'ENV {name}="{value}"' for name, value in {**variables, **own}.items()]


def _fits(value: str) -> bool:
    """Whether ENV can say it: a line break it cannot."""
    return len(value.splitlines()) <= 1 and not value.endswith("\n")


def _escaped(value: str) -> str:
    r"""A value between double quotes of ENV, where `\`, `"` and `$` mean something."""
    return re.sub(r'([\\"$])', r"\\\1", value)
