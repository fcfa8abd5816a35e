"""PyTorch and JAX, alone and beside TensorFlow, and Keras 3 on each of them."""

from __future__ import annotations

from typing import Any

import pytest

from colabenv.errors import UnsatisfiableError
from colabenv.frameworks import combinations
from colabenv.frameworks.facts import load_table
from colabenv.frameworks.requirements import Requirements, derive_requirements
from colabenv.host.probe import Gpu

T4 = Gpu("Tesla T4", "550.54.15", "7.5", 15360)
V100 = Gpu("Tesla V100", "580.82.07", "7.0", 16384)
BLACKWELL = Gpu("NVIDIA RTX PRO 6000", "580.82.07", "12.0", 97887)
FRAMEWORKS = ("tensorflow", "keras", "torch", "jax", "backend", "python")


def ask(variant: str = "cpu", gpus: tuple[Gpu, ...] = (), **stack: Any) -> Requirements:
    asked: dict[str, Any] = {name: stack.get(name) for name in FRAMEWORKS}
    return derive_requirements(**asked, lines=(), variant=variant, default_python="3.12", gpus=gpus)


def refusal(variant: str = "cpu", gpus: tuple[Gpu, ...] = (), **stack: Any) -> UnsatisfiableError:
    with pytest.raises(UnsatisfiableError) as caught:
        ask(variant, gpus, **stack)
    return caught.value


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_torch_alone_is_one_line_and_picks_the_python(variant: str) -> None:
    found = ask(variant, torch="==2.6.*")
    assert (found.python, found.lines, found.constraints) == ("3.13", ("torch==2.6.*",), ())
    assert found.notes[0] == "Python 3.13: the newest that PyTorch 2.6 has wheels for."
    assert any("smaller wheels" in note for note in found.notes) == (variant == "cpu")


def test_a_build_of_ones_own_is_like_the_release() -> None:
    found = ask(torch="==2.6.0+cpu")
    assert (found.python, found.lines) == ("3.13", ("torch==2.6.0+cpu",))
    assert not any("smaller wheels" in note for note in found.notes)


def test_jax_comes_with_what_the_variant_needs() -> None:
    assert ask("cpu", jax="==0.5.*").lines == ("jax[cpu]==0.5.*",)
    # CUDA 12 runs with more drivers than CUDA 13.
    assert ask("gpu", jax="==0.12.*").lines == ("jax[cuda12]==0.12.*",)
    assert ask("gpu", jax="==0.99.*").lines == ("jax[cuda12]==0.99.*",)
    assert "has no wheels for a GPU" in refusal("gpu", jax="==0.4.20").message
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
def test_old_releases_bring_their_repairs(stack: dict[str, Any], constraints: set[str]) -> None:
    assert constraints == {one for one in ask(**stack).constraints if one.startswith("numpy")}


def test_two_frameworks_share_a_python() -> None:
    found = ask(tensorflow="==2.18.1", torch="==2.6.*")
    assert found.python == "3.12"
    assert found.lines == ("tensorflow==2.18.1", "torch==2.6.*")
    assert found.notes[0] == "Python 3.12: the newest that TensorFlow 2.18 and PyTorch 2.6 have wheels for."


def test_cuda_wheels_that_disagree_are_refused_with_both_pins() -> None:
    error = refusal("gpu", tensorflow="==2.15.1", torch="==2.6.*")
    assert error.message == (
        "TensorFlow 2.15 and PyTorch 2.6 do not go together on a GPU: TensorFlow 2.15 needs "
        "nvidia-cudnn-cu12==8.9.4.25, and PyTorch 2.6 needs nvidia-cudnn-cu12==9.1.0.70."
    )
    assert error.hint == (
        "The nearest that go together: TensorFlow 2.20 with PyTorch 2.7. Without the GPU these two go together: "
        "accelerator: cpu."
    )
    assert ask("cpu", tensorflow="==2.15.1", torch="==2.6.*").python == "3.11"


@pytest.mark.parametrize("torch", ["2.0", "2.1", "2.4", "2.6", "2.7", "2.10", "2.14"])
@pytest.mark.parametrize("tensorflow", ["2.10.1", "2.14.1", "2.15.1", "2.16.2", "2.18.1", "2.19.1"])
def test_up_to_2_19_the_pins_of_tensorflow_leave_no_torch(tensorflow: str, torch: str) -> None:
    assert "do not go together" in refusal("gpu", tensorflow=f"=={tensorflow}", torch=f"=={torch}.*").message


@pytest.mark.parametrize("torch", ["2.7", "2.8", "2.9", "2.10"])
def test_the_open_ranges_of_2_20_do(torch: str) -> None:
    found = ask("gpu", tensorflow="==2.20.*", torch=f"=={torch}.*")
    assert found.lines == ("tensorflow[and-cuda]==2.20.*", f"torch=={torch}.*")
    assert {"tensorflow==2.20.*", f"torch=={torch}.*"} < set(found.constraints)


def test_a_release_that_finds_no_gpu_is_no_way_out() -> None:
    # TensorFlow 2.4 has no CUDA wheels that could disagree.
    assert refusal("gpu", tensorflow="==2.12.*", torch="==2.0.*").hint.startswith(
        "The nearest that go together: TensorFlow 2.20 with PyTorch 2.7."
    )
    assert "finds no GPU" in refusal("gpu", tensorflow="==2.4.*", torch="==2.0.*").message
    assert "no Python has both" in refusal("gpu", tensorflow="==2.4.*", jax="==0.5.*").message


def test_wheels_of_cuda_12_and_13_lie_in_one_folder() -> None:
    error = refusal("gpu", tensorflow="==2.20.*", torch="==2.15.*")
    assert (
        "nvidia-cudnn-cu12<10.0,>=9.3.0.75, and PyTorch 2.15 needs nvidia-cudnn-cu13==9.26.0.51"
        in error.message
    )
    assert error.hint.startswith("TensorFlow 2.20 goes with PyTorch 2.7 to 2.10.")


def test_jax_takes_the_cuda_of_its_neighbour() -> None:
    assert ask("gpu", torch="==2.15.*", jax=">=0.7").lines == ("torch==2.15.*", "jax[cuda13]>=0.7")
    assert ask("gpu", torch="==2.9.*", jax="==0.9.*").lines == ("torch==2.9.*", "jax[cuda12]==0.9.*")


def test_of_a_range_a_release_that_agrees_is_taken() -> None:
    found = ask("gpu", tensorflow="==2.20.*", torch=">=2.4")
    assert "torch==2.10.*" in found.constraints
    assert "JAX 0.10.2" in ask(tensorflow="==2.18.*", jax=">=0.4.20").notes[0]


def test_ranges_that_exclude_each_other_are_found_without_a_gpu_too() -> None:
    error = refusal(tensorflow="==2.13.*", torch="==2.6.*")
    assert "TensorFlow 2.13 needs typing-extensions<4.6.0,>=3.6.6, and PyTorch 2.6 needs" in error.message
    assert error.hint == (
        "TensorFlow 2.13 goes with PyTorch 2.0 and 2.1. PyTorch 2.6 goes with TensorFlow 2.7 to 2.12 and 2.14 to 2.21."
    )
    assert "numpy>=2.2" in refusal(tensorflow="==2.18.1", jax="==0.12.*", python="3.12").message


def test_frameworks_without_a_common_python_are_refused() -> None:
    error = refusal(tensorflow="==2.10.*", jax="==0.12.*")
    assert error.message.startswith("TensorFlow 2.10 has wheels for Python 3.8 to 3.10, and JAX 0.12.")
    assert error.message.endswith("no Python has both.")
    assert (
        "PyTorch 2.15 has no wheels for Python 3.10." in refusal(torch="==2.15.*", python="3.10.13").message
    )


def test_what_a_gpu_cannot_do_is_refused_for_each_framework() -> None:
    error = refusal("gpu", (T4,), torch="==2.15.*")
    assert error.message == (
        "The driver of Tesla T4 is 550.54.15, and the CUDA 13.0 of PyTorch 2.15 needs 580.65.06 or newer."
    )
    assert error.hint.startswith("On this machine the GPU works with PyTorch 2.0 to 2.10. ")
    assert "drives GPUs from 7.5 on only" in refusal("gpu", (V100,), torch="==2.15.*").message
    assert "drives GPUs up to 9.0 only" in refusal("gpu", (BLACKWELL,), torch="==2.6.*").message
    assert ask("gpu", (T4, V100), torch="==2.6.*").lines == ("torch==2.6.*",)
    assert ask("gpu", (BLACKWELL,), jax="==0.12.*").lines == ("jax[cuda12]==0.12.*",)


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
        # The framework is the backend where there is one only, and comes along where there is none.
        ({"keras": "==3.11.*", "jax": "==0.5.*"}, ("jax[cpu]==0.5.*", "keras==3.11.*"), "jax"),
        ({"backend": "jax"}, ("jax[cpu]>=0.4.20", "keras>=3"), "jax"),
        ({"backend": "torch", "tensorflow": "==2.18.1"}, ("tensorflow==2.18.1", "torch>=2.1.0"), "torch"),
        ({"backend": "tensorflow"}, ("tensorflow>=2.16.1",), "tensorflow"),
    ],
)
def test_keras_is_told_its_backend(stack: dict[str, Any], lines: tuple[str, ...], backend: str) -> None:
    found = ask(**stack)
    assert found.lines == lines
    assert found.variables == (("KERAS_BACKEND", backend),)


def test_keras_needs_something_to_run_on() -> None:
    error = refusal(keras="==3.11.*")
    assert error.message == "keras==3.11.* needs a framework to run on, and the profile has none."
    assert "backend: jax" in error.hint
    asked: dict[str, Any] = {**dict.fromkeys(FRAMEWORKS), "keras": "==3.11.*"}
    found = derive_requirements(**asked, lines=("OpenVino>=2025",), variant="cpu", default_python="3.12")
    assert found.lines == ("keras==3.11.*", "OpenVino>=2025")


def test_beside_tensorflow_keras_stays_on_it_unless_asked() -> None:
    assert ask(tensorflow="==2.18.1", torch="==2.6.*", keras="==3.8.*").variables == ()


@pytest.mark.parametrize(
    ("stack", "message", "hint"),
    [
        (
            {"keras": "==3.11.*", "jax": "==0.5.*", "torch": "==2.6.*"},
            "does not say which of the two Keras runs on",
            "backend: torch or backend: jax",
        ),
        ({"keras": "==2.15.*", "backend": "jax"}, "is Keras 2, which runs on TensorFlow alone", 'keras: "3"'),
        ({"tensorflow": "==2.15.1", "backend": "jax"}, "TensorFlow 2.15 brings Keras 2", "from 2.16 on"),
        (
            {"keras": "==3.11.*", "backend": "torch", "torch": "==2.0.*"},
            "Keras 3.11.3 does not run on PyTorch 2.0.1.",
            "It runs on torch>=2.1.0: ",
        ),
    ],
)
def test_a_backend_that_cannot_be_is_refused(stack: dict[str, Any], message: str, hint: str) -> None:
    error = refusal(**stack)
    assert message in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("specifier", "possible"),
    [
        ("==1.2,>=1", True),
        ("==1.2,>=1.3", False),
        ("==13.4.1.3.*,>=13.0.0.19", True),
        ("<2,>=2", False),
        ("<2,>1", True),
        (">=1,!=1", True),
        ("<4.6,>=4.8", False),
        ("", True),
    ],
)
def test_ranges_that_no_version_satisfies_are_told(specifier: str, possible: bool) -> None:
    from packaging.specifiers import SpecifierSet

    assert combinations.is_satisfiable(SpecifierSet(specifier)) is possible


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_every_release_can_be_had_on_some_machine(framework: str) -> None:
    for release in load_table().others(framework):
        assert release.pythons
        assert combinations.list_installations(release, "cpu")
        for wheels, cuda in release.cuda.values():
            assert load_table().cuda_of(cuda) is not None, (release.version, cuda)
            assert any("cudnn" in wheel for wheel in wheels)
