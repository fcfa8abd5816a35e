"""PyTorch and JAX, alone and beside TensorFlow, and Keras 3 on each of them."""

from __future__ import annotations

from typing import Any

import pytest
from packaging.specifiers import SpecifierSet

from colabenv.errors import UnsatisfiableError
from colabenv.frameworks import combinations
from colabenv.frameworks.facts import load_table
from colabenv.frameworks.request import FrameworkRequest
from colabenv.frameworks.requirements import Requirements, derive_requirements
from colabenv.host.probe import Gpu

T4 = Gpu("Tesla T4", "550.54.15", "7.5", 15360)
V100 = Gpu("Tesla V100", "580.82.07", "7.0", 16384)
BLACKWELL = Gpu("NVIDIA RTX PRO 6000", "580.82.07", "12.0", 97887)


def derive(variant: str = "cpu", gpus: tuple[Gpu, ...] = (), **stack: Any) -> Requirements:
    return derive_requirements(FrameworkRequest(**stack), variant=variant, default_python="3.12", gpus=gpus)


def refusal(variant: str = "cpu", gpus: tuple[Gpu, ...] = (), **stack: Any) -> UnsatisfiableError:
    with pytest.raises(UnsatisfiableError) as caught:
        derive(variant, gpus, **stack)
    return caught.value


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_torch_alone_selects_the_python(variant: str) -> None:
    requirements = derive(variant, torch="==2.6.*")
    assert (requirements.python, requirements.lines, requirements.constraints) == (
        "3.13",
        ("torch==2.6.*",),
        (),
    )
    assert requirements.notes[0] == "Python 3.13: the newest that PyTorch 2.6 has wheels for."
    assert any("smaller wheels" in note for note in requirements.notes) == (variant == "cpu")


def test_local_version_of_torch_counts_as_its_release() -> None:
    requirements = derive(torch="==2.6.0+cpu")
    assert (requirements.python, requirements.lines) == ("3.13", ("torch==2.6.0+cpu",))
    assert not any("smaller wheels" in note for note in requirements.notes)


def test_jax_extra_follows_the_variant() -> None:
    assert derive("cpu", jax="==0.5.*").lines == ("jax[cpu]==0.5.*",)
    # CUDA 12 runs with more drivers than CUDA 13.
    assert derive("gpu", jax="==0.12.*").lines == ("jax[cuda12]==0.12.*",)
    assert derive("gpu", jax="==0.99.*").lines == ("jax[cuda12]==0.99.*",)
    assert "has no GPU wheels" in refusal("gpu", jax="==0.4.20").message
    assert refusal("gpu", jax="==0.4.20").hint.startswith('Set jax: ">=0.4.22"')


@pytest.mark.parametrize(
    ("stack", "constraints"),
    [
        ({"torch": "==2.2.*"}, {"numpy<2"}),
        ({"torch": "==2.3.*"}, set()),
        ({"jax": "==0.4.25"}, {"numpy<2"}),
        ({"jax": "==0.4.30"}, set()),
    ],
)
def test_old_releases_add_their_constraints(stack: dict[str, Any], constraints: set[str]) -> None:
    numpy = {constraint for constraint in derive(**stack).constraints if constraint.startswith("numpy")}
    assert numpy == constraints


def test_two_frameworks_share_a_python() -> None:
    requirements = derive(tensorflow="==2.18.1", torch="==2.6.*")
    assert requirements.python == "3.12"
    assert requirements.lines == ("tensorflow==2.18.1", "torch==2.6.*")
    assert (
        requirements.notes[0]
        == "Python 3.12: the newest that TensorFlow 2.18 and PyTorch 2.6 have wheels for."
    )


def test_conflicting_cuda_wheels_are_refused_with_both_pins() -> None:
    error = refusal("gpu", tensorflow="==2.15.1", torch="==2.6.*")
    assert error.message == (
        "TensorFlow 2.15 and PyTorch 2.6 do not work together on a GPU: TensorFlow 2.15 needs "
        "nvidia-cudnn-cu12==8.9.4.25, but PyTorch 2.6 needs nvidia-cudnn-cu12==9.1.0.70."
    )
    assert error.hint == (
        "The closest combination that works is TensorFlow 2.20 with PyTorch 2.7. Without the GPU (accelerator: cpu) "
        "these two work together."
    )
    assert derive("cpu", tensorflow="==2.15.1", torch="==2.6.*").python == "3.11"


def conflict_on_gpu(tensorflow: str, torch: str) -> bool:
    try:
        derive("gpu", tensorflow=f"=={tensorflow}", torch=f"=={torch}.*")
    except UnsatisfiableError as error:
        return "do not work together" in error.message
    return False


def test_cuda_pins_up_to_tensorflow_2_19_exclude_torch() -> None:
    compatible = [
        (tensorflow, torch)
        for tensorflow in ("2.10.1", "2.14.1", "2.15.1", "2.16.2", "2.18.1", "2.19.1")
        for torch in ("2.0", "2.1", "2.4", "2.6", "2.7", "2.10", "2.14")
        if not conflict_on_gpu(tensorflow, torch)
    ]
    assert compatible == []


def test_cuda_ranges_of_tensorflow_2_20_allow_torch() -> None:
    for torch in ("2.7", "2.8", "2.9", "2.10"):
        requirements = derive("gpu", tensorflow="==2.20.*", torch=f"=={torch}.*")
        assert requirements.lines == ("tensorflow[and-cuda]==2.20.*", f"torch=={torch}.*")
        assert {"tensorflow==2.20.*", f"torch=={torch}.*"} < set(requirements.constraints), torch


def test_hint_never_suggests_a_release_without_gpu_support() -> None:
    # TensorFlow 2.4 has no CUDA wheels that could conflict.
    assert refusal("gpu", tensorflow="==2.12.*", torch="==2.0.*").hint.startswith(
        "The closest combination that works is TensorFlow 2.20 with PyTorch 2.7."
    )
    assert "cannot use a GPU:" in refusal("gpu", tensorflow="==2.4.*", torch="==2.0.*").message
    assert "No Python has wheels for both" in refusal("gpu", tensorflow="==2.4.*", jax="==0.5.*").message


def test_cuda_12_and_13_wheels_conflict() -> None:
    error = refusal("gpu", tensorflow="==2.20.*", torch="==2.15.*")
    assert (
        "nvidia-cudnn-cu12<10.0,>=9.3.0.75, but PyTorch 2.15 needs nvidia-cudnn-cu13==9.26.0.51"
        in error.message
    )
    assert error.hint.startswith("TensorFlow 2.20 works with PyTorch 2.7 to 2.10.")


def test_jax_uses_the_cuda_generation_of_torch() -> None:
    assert derive("gpu", torch="==2.15.*", jax=">=0.7").lines == ("torch==2.15.*", "jax[cuda13]>=0.7")
    assert derive("gpu", torch="==2.9.*", jax="==0.9.*").lines == ("torch==2.9.*", "jax[cuda12]==0.9.*")


def test_range_is_narrowed_to_a_compatible_release() -> None:
    requirements = derive("gpu", tensorflow="==2.20.*", torch=">=2.4")
    assert "torch==2.10.*" in requirements.constraints
    assert "JAX 0.10.2" in derive(tensorflow="==2.18.*", jax=">=0.4.20").notes[0]


def test_conflicting_ranges_are_refused_on_the_cpu() -> None:
    error = refusal(tensorflow="==2.13.*", torch="==2.6.*")
    assert "TensorFlow 2.13 needs typing-extensions<4.6.0,>=3.6.6, but PyTorch 2.6 needs" in error.message
    assert error.hint == (
        "TensorFlow 2.13 works with PyTorch 2.0 and 2.1. PyTorch 2.6 works with TensorFlow 2.7 to 2.12 and "
        "2.14 to 2.21."
    )
    assert "numpy>=2.2" in refusal(tensorflow="==2.18.1", jax="==0.12.*", python="3.12").message


def test_frameworks_without_a_common_python_are_refused() -> None:
    error = refusal(tensorflow="==2.10.*", jax="==0.12.*")
    assert error.message.startswith(
        "No Python has wheels for both TensorFlow 2.10 (Python 3.7 to 3.10) and JAX 0.12."
    )
    assert (
        "PyTorch 2.15 has no wheels for Python 3.10." in refusal(torch="==2.15.*", python="3.10.13").message
    )


def test_unsuitable_gpu_is_refused_for_torch_and_jax() -> None:
    error = refusal("gpu", (T4,), torch="==2.15.*")
    assert error.message == (
        "The driver of Tesla T4 is 550.54.15, but PyTorch 2.15 uses CUDA 13.0, which needs version 580.65.06 or newer."
    )
    assert error.hint.startswith("PyTorch 2.0 to 2.10 can use the GPU of this machine. ")
    assert "needs 7.5 or higher" in refusal("gpu", (V100,), torch="==2.15.*").message
    assert "supports GPUs up to 9.0 only" in refusal("gpu", (BLACKWELL,), torch="==2.6.*").message
    assert derive("gpu", (T4, V100), torch="==2.6.*").lines == ("torch==2.6.*",)
    assert derive("gpu", (BLACKWELL,), jax="==0.12.*").lines == ("jax[cuda12]==0.12.*",)


@pytest.mark.parametrize(
    ("stack", "lines", "backend"),
    [
        (
            {"keras": "==3.11.*", "backend": "torch", "torch": "==2.6.*"},
            ("torch==2.6.*", "keras==3.11.*"),
            "torch",
        ),
        (
            {"keras": "==3.11.*", "backend": "jax", "jax": "==0.5.*"},
            ("jax[cpu]==0.5.*", "keras==3.11.*"),
            "jax",
        ),
        # A single framework is the backend. Without a framework, the backend is installed.
        ({"keras": "==3.11.*", "jax": "==0.5.*"}, ("jax[cpu]==0.5.*", "keras==3.11.*"), "jax"),
        ({"backend": "jax"}, ("jax[cpu]>=0.4.20", "keras>=3"), "jax"),
        ({"backend": "torch", "tensorflow": "==2.18.1"}, ("tensorflow==2.18.1", "torch>=2.1.0"), "torch"),
        ({"backend": "tensorflow"}, ("tensorflow>=2.16.1",), "tensorflow"),
    ],
)
def test_keras_backend_is_set(stack: dict[str, Any], lines: tuple[str, ...], backend: str) -> None:
    requirements = derive(**stack)
    assert requirements.lines == lines
    assert requirements.variables == (("KERAS_BACKEND", backend),)


def test_keras_without_a_framework_is_refused() -> None:
    error = refusal(keras="==3.11.*")
    assert error.message == "keras==3.11.* needs a framework to run on, and the profile requests none."
    assert "backend: jax" in error.hint
    requirements = derive_requirements(
        FrameworkRequest(keras="==3.11.*"), lines=("OpenVino>=2025",), variant="cpu", default_python="3.12"
    )
    assert requirements.lines == ("keras==3.11.*", "OpenVino>=2025")


def test_keras_beside_tensorflow_gets_no_backend() -> None:
    assert derive(tensorflow="==2.18.1", torch="==2.6.*", keras="==3.8.*").variables == ()


@pytest.mark.parametrize(
    ("stack", "message", "hint"),
    [
        (
            {"keras": "==3.11.*", "jax": "==0.5.*", "torch": "==2.6.*"},
            "can run on PyTorch or on JAX",
            "backend: torch or backend: jax",
        ),
        ({"keras": "==2.15.*", "backend": "jax"}, "is Keras 2, which runs only on TensorFlow", 'keras: "3"'),
        (
            {"tensorflow": "==2.15.1", "backend": "jax"},
            "TensorFlow 2.15 includes Keras 2",
            "TensorFlow 2.16 or later",
        ),
        (
            {"keras": "==3.11.*", "backend": "torch", "torch": "==2.0.*"},
            "Keras 3.11.3 does not run on PyTorch 2.0.1.",
            "Keras 3.11.3 needs torch>=2.1.0: ",
        ),
    ],
)
def test_impossible_backend_is_refused(stack: dict[str, Any], message: str, hint: str) -> None:
    error = refusal(**stack)
    assert message in error.message
    assert hint in error.hint


def test_unsatisfiable_ranges_are_recognized() -> None:
    satisfiable = {
        "==1.2,>=1": True,
        "==1.2,>=1.3": False,
        "==13.4.1.3.*,>=13.0.0.19": True,
        "<2,>=2": False,
        "<2,>1": True,
        ">=1,!=1": True,
        "<4.6,>=4.8": False,
        "": True,
    }
    assert {
        specifier: combinations.is_satisfiable(SpecifierSet(specifier)) for specifier in satisfiable
    } == satisfiable


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_every_release_has_pythons_and_known_cuda(framework: str) -> None:
    for release in load_table().others(framework):
        assert release.pythons, release.version
        assert combinations.list_installations(release, "cpu", load_table()), release.version
        for wheels, cuda in release.cuda.values():
            assert load_table().cuda_of(cuda) is not None, (release.version, cuda)
            assert any("cudnn" in wheel for wheel in wheels), release.version
