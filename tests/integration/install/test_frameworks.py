"""Frameworks other than TensorFlow: the kernel gets the Keras backend, and the profile's PyTorch index is used."""

from __future__ import annotations

import sys

import pytest

from support.index_server import Index
from support.packages import wheel
from support.user_machine import UserMachine

KERAS_ON_JAX = """\
name: tiny
kernel: {google_colab: off}
stack: {keras: "3.11", backend: jax, jax: "0.5"}
verify: {code: "import os, keras, jax; assert os.environ['KERAS_BACKEND'] == 'jax'"}
"""
BACKEND = "import os; print(os.environ.get('KERAS_BACKEND'))"


@pytest.fixture
def keras(index: Index) -> None:
    """Stand-ins for Keras and JAX."""
    index.add(*wheel("jax", "0.5.3", files={"jax.py": "__version__ = '0.5.3'\ndevices = lambda: []\n"}))
    backend = (
        "class backend:\n    backend = staticmethod(lambda: __import__('os').environ['KERAS_BACKEND'])\n"
    )
    index.add(*wheel("keras", "3.11.3", files={"keras.py": f"__version__ = '3.11.3'\n{backend}"}))


def test_keras_backend_is_set_in_the_check_the_kernel_and_run(machine: UserMachine, keras: None) -> None:
    machine.profile.write_text(f'python: "3.{supported_minor()}"\n{KERAS_ON_JAX}')
    # A notebook on the base may have set the variable.
    machine.environ["KERAS_BACKEND"] = "torch"
    output = machine.up().expect(0).text
    assert "JAX 0.5.3, Keras 3.11.3 on jax" in output
    assert machine.cell(BACKEND) == "jax"
    assert machine.run("run", "tiny", "--", "python", "-c", BACKEND).expect(0).text.strip() == "jax"
    assert "KERAS_BACKEND" not in machine.lock.read_text()


def supported_minor() -> int:
    """The minor version of this Python, limited to those for which both frameworks have wheels."""
    return min(max(sys.version_info.minor, 10), 13)


def test_index_of_the_profile_is_preferred(machine: UserMachine, index: Index) -> None:
    index.add(*wheel("torch", "2.12.1", requires=["nvidia-cudnn-cu13==9.20.0.48"]))
    index.add(*wheel("nvidia_cudnn_cu13", "9.20.0.48"))
    with Index() as torch_index:
        torch_index.add(*wheel("torch", "2.12.1+cpu"))
        stack = 'stack: {torch: "2.12.1+cpu", accelerator: cpu}\n'
        indexes = f'indexes: [{{name: torch-cpu, url: "{torch_index.url}"}}]\n'
        head = f'name: tiny\npython: "3.{supported_minor()}"\nkernel: {{google_colab: off}}\n'
        machine.profile.write_text(f"{head}{stack}{indexes}")
        machine.run("lock", "tiny.yaml").expect(0)
        assert "torch==2.12.1+cpu \\" in machine.lock.read_text()
        assert "nvidia" not in machine.lock.read_text()
        machine.profile.write_text(f'{head}stack: {{torch: "2.12", accelerator: cpu}}\n')
        machine.lock.unlink()
        output = machine.run("lock", "tiny.yaml").expect(0).text
        assert "nvidia-cudnn-cu13==9.20.0.48 \\" in machine.lock.read_text()
        assert "several gigabytes" in output
