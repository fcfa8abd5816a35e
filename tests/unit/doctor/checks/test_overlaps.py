"""Checks of packages that overwrite each other, and of CUDA."""

from __future__ import annotations

import pytest

from colabenv.doctor.checks import cuda, cuda_libraries, overlaps
from colabenv.doctor.checks.registry import RULES, run_rules
from colabenv.doctor.model import Distribution, ErrorReport, Facts, Fix, ModuleLocation, Overlap
from colabenv.frameworks.facts import load_table
from colabenv.frameworks.runtimes import load_runtime
from support.doctor.facts import SITE, dist, facts

T4 = (("Tesla T4", "550.54.15", "7.5"),)
RTX_5090 = (("NVIDIA GeForce RTX 5090", "570.86.10", "12.0"),)
CUDNN = f"{SITE}/nvidia/cudnn/lib/libcudnn.so.8"


def over(path: str, *owners: str, on_disk: str = "", hashed: bool = True) -> Overlap:
    return Overlap(f"{SITE}/{path}", owners, (on_disk,) if on_disk else (), hashed)


def tensorflow(version: str, name: str = "tensorflow") -> Distribution:
    return dist(name, version, modules=("tensorflow",), files=9000)


def codes(here: Facts) -> list[str]:
    return [
        finding.code
        for finding in run_rules(here, [rule for code, rule in RULES.items() if code.startswith("CE2")])
    ]


def test_two_projects_with_the_same_module() -> None:
    pair = (dist("pyjwt", "2.9.0", modules=("jwt",), files=20), dist("jwt", "1.3.1", modules=("jwt",)))
    (finding,) = overlaps.find_overwritten_files(
        facts(*pair, overlaps=(over("jwt/__init__.py", "pyjwt", "jwt", on_disk="jwt"),))
    )
    assert finding.fixes == (Fix("uninstall", ("jwt",)), Fix("reinstall", ("pyjwt==2.9.0",)))
    assert (
        finding.evidence[0]
        == f"{SITE}/jwt/__init__.py: listed by pyjwt and jwt; the file on disk is from jwt"
    )


def test_required_project_is_kept() -> None:
    user = dist("client", requires=("jwt>=1",))
    pair = (dist("pyjwt", "2.9.0", files=20), dist("jwt", "1.3.1"))
    shared = (over("jwt/__init__.py", "pyjwt", "jwt", on_disk="jwt"),)
    (finding,) = overlaps.find_overwritten_files(facts(user, *pair, overlaps=shared))
    assert finding.fixes[0] == Fix("uninstall", ("pyjwt",))
    both = dist("client", requires=("jwt>=1", "pyjwt"))
    assert list(overlaps.find_overwritten_files(facts(both, *pair, overlaps=shared))) == []


@pytest.mark.parametrize(
    "shared",
    [
        (over("tests/__init__.py", "a", "b", on_disk="b"),),
        (over("a/tests/test_x.py", "a", "b", on_disk="b"),),
        (over("LICENSE", "a", "b", on_disk="b"),),
        # Two builds of one version: OpenCV's, all of one of them.
        (over("cv2/__init__.py", "a", "b", on_disk="b"), over("cv2/cv2.abi3.so", "a", "b", on_disk="b")),
        (over("cv2/cv2.abi3.so", "a", "b", hashed=False),),
    ],
    ids=lambda shared: shared[0].path.rpartition("/")[2],
)
def test_harmless_overlaps(shared: tuple[Overlap, ...]) -> None:
    assert codes(facts(dist("a", "4.10"), dist("b", "4.10"), overlaps=shared)) == []


def test_mixed_builds_of_one_version() -> None:
    shared = (over("cv2/__init__.py", "a", "b", on_disk="b"), over("cv2/cv2.abi3.so", "a", "b", on_disk="a"))
    assert codes(facts(dist("a", "4.10"), dist("b", "4.10"), overlaps=shared)) == ["CE201"]


def test_two_builds_of_tensorflow() -> None:
    here = facts(
        tensorflow("2.15.1"),
        tensorflow("2.18.1", "tensorflow-cpu"),
        overlaps=(over("tensorflow/__init__.py", "tensorflow", "tensorflow-cpu", on_disk="tensorflow"),),
    )
    assert codes(here) == ["CE202"]
    (finding,) = overlaps.find_several_tensorflows(here)
    assert finding.fixes == (Fix("uninstall", ("tensorflow",)), Fix("reinstall", ("tensorflow-cpu==2.18.1",)))
    assert finding.removes == (f"{SITE}/tensorflow-2.15.1.dist-info",)


def test_empty_tensorflow_that_requires_another_build() -> None:
    assert (
        codes(facts(dist("tensorflow", "2.15.1", modules=()), tensorflow("2.15.1", "tensorflow-intel"))) == []
    )


def test_required_build_of_tensorflow_is_kept() -> None:
    user = dist("tensorflow-text", requires=("tensorflow<2.16,>=2.15",))
    (finding,) = overlaps.find_several_tensorflows(
        facts(user, tensorflow("2.15.1"), tensorflow("2.18.1", "tensorflow-cpu"))
    )
    assert finding.fixes[0] == Fix("uninstall", ("tensorflow-cpu",))


def test_leftover_folder() -> None:
    left = {"tensorflow": (ModuleLocation("namespace", f"{SITE}/tensorflow", SITE),)}
    (finding,) = overlaps.find_leftover_folders(facts(dist("hub", requires=("tensorflow",)), modules=left))
    assert finding.fixes == (Fix("delete", (f"{SITE}/tensorflow",)), Fix("install", ("tensorflow",)))
    assert finding.covers == ("hub>tensorflow",)
    # Not reported: packages with a RECORD, which another rule checks; own folders; google, which is a namespace.
    assert list(overlaps.find_leftover_folders(facts(tensorflow("2.18.1"), modules=left))) == []
    own = {"torch": (ModuleLocation("namespace", "/content/torch", "/content"),)}
    spread = {"google": (ModuleLocation("namespace", f"{SITE}/google", SITE),)}
    assert list(overlaps.find_leftover_folders(facts(modules={**own, **spread}))) == []


def test_cudnn_of_two_cuda_releases() -> None:
    pair = (
        dist("nvidia-cudnn-cu11", "8.7.0.84", modules=()),
        dist("nvidia-cudnn-cu12", "8.9.4.25", modules=()),
    )
    shared = (
        Overlap(CUDNN, ("nvidia-cudnn-cu11", "nvidia-cudnn-cu12"), ("nvidia-cudnn-cu12",), hashed=True),
    )
    (finding,) = cuda.find_overwritten_libraries(facts(*pair, tensorflow("2.14.1"), overlaps=shared))
    assert finding.fixes == (
        Fix("uninstall", ("nvidia-cudnn-cu12",)),
        Fix("reinstall", ("nvidia-cudnn-cu11==8.7.0.84",)),
    )
    assert "tensorflow 2.14.1 needs nvidia-cudnn-cu11==8.7.0.84" in finding.evidence
    torch = dist("torch", "2.1.0", requires=("nvidia-cudnn-cu12==8.9.4.25",))
    (finding,) = cuda.find_overwritten_libraries(facts(*pair, tensorflow("2.14.1"), torch, overlaps=shared))
    assert [step.action for step in finding.fixes] == ["up"]
    headers = (over("nvidia/cudnn/include/cudnn.h", *(each.name for each in pair)),)
    assert codes(facts(*pair, overlaps=headers)) == []


def torch_of_the_table(version: str) -> Distribution:
    """PyTorch with the CUDA wheels that its metadata names, as the stack's table was read from the index."""
    release = next(each for each in load_table().torch if each.version == version)
    return dist("torch", version, requires=release.cuda[""][0])


def wheels_of(*lines: str) -> list[Distribution]:
    return [dist(name, version, modules=()) for name, _, version in (line.partition("==") for line in lines)]


def test_cuda_wheels_of_pytorch_replaced_by_tensorflow() -> None:
    torch = torch_of_the_table("2.5.1")
    assert "nvidia-cuda-runtime-cu12==12.4.127" in torch.requires  # as in tests/doctor/test_interference.py
    release = next(each for each in load_table().releases if each.version == "2.18.1")
    here = facts(torch, tensorflow("2.18.1"), *wheels_of(*release.extra))
    (finding,) = cuda.find_replaced_cuda_wheels(here)
    assert "nvidia-cudnn-cu12==9.1.0.70" in finding.fixes[0].arguments
    assert "torch 2.5.1 requires nvidia-cudnn-cu12==9.1.0.70; installed: 9.3.0.75" in finding.evidence
    assert "tensorflow 2.18.1 needs nvidia-cublas-cu12==12.5.3.2" in finding.evidence
    assert "torch>nvidia-cudnn-cu12" in finding.covers
    assert codes(facts(torch, *wheels_of(*torch.requires))) == []


def test_cudnn_of_pytorch_under_tensorflow() -> None:
    torch = torch_of_the_table("2.5.1")
    here = facts(torch, tensorflow("2.15.1"), *wheels_of(*torch.requires), gpus=T4)
    assert codes(here) == ["CE213"]
    (finding,) = cuda.find_wrong_cudnn(here)
    assert "nvidia-cudnn-cu12==8.9.4.25" in finding.summary
    assert any("torch 2.5.1 requires nvidia-cudnn-cu12" in line for line in finding.evidence)
    (finding,) = cuda.find_wrong_cudnn(
        facts(tensorflow("2.15.1"), *wheels_of("nvidia-cudnn-cu12==9.1.0.70"), gpus=T4)
    )
    assert finding.fixes == (Fix("install", ("nvidia-cudnn-cu12==8.9.4.25",)),)


@pytest.mark.parametrize(
    ("build", "cudnn", "gpus"),
    [
        (tensorflow("2.15.1"), "nvidia-cudnn-cu12==9.1.0.70", ()),
        (tensorflow("2.15.1", "tensorflow-cpu"), "nvidia-cudnn-cu12==9.1.0.70", T4),
        (tensorflow("2.15.1"), "nvidia-cudnn-cu12==8.9.2.26", T4),
        (tensorflow("2.20.0"), "nvidia-cudnn-cu12==9.1.0.70", T4),
    ],
    ids=["no GPU", "a build without GPU", "the same generation", "a range"],
)
def test_cudnn_is_not_reported(
    build: Distribution, cudnn: str, gpus: tuple[tuple[str, str, str], ...]
) -> None:
    assert codes(facts(build, *wheels_of(cudnn), gpus=gpus)) == []


MACHINE = "/usr/local/cuda/lib64"
RUNTIME = f"{SITE}/nvidia/cuda_runtime/lib/libcudart.so.12"


def with_machine(real: str, size: int, value: str = f"{MACHINE}:/usr/lib64-nvidia") -> Facts:
    own = dist("nvidia-cuda-runtime-cu12", "12.4.127", modules=(), libraries=(("libcudart.so.12", RUNTIME),))
    system = f"{MACHINE}/libcudart.so.12"
    return facts(
        own,
        environ={"LD_LIBRARY_PATH": value},
        system_libraries=(("libcudart.so.12", system), ("libcuda.so.1", "/usr/lib64-nvidia/libcuda.so.1")),
        library_files={RUNTIME: ("libcudart.so.12", 707904), system: (real, size)},
    )


def test_system_cuda_before_the_wheels() -> None:
    (finding,) = cuda_libraries.find_system_cuda(with_machine("libcudart.so.12.1.105", 679264))
    assert finding.fixes == (Fix("set", ("LD_LIBRARY_PATH", "/usr/lib64-nvidia")),)
    assert f"libcudart.so.12 is loaded from {MACHINE}/libcudart.so.12" in finding.evidence[1]
    (finding,) = cuda_libraries.find_system_cuda(with_machine("libcudart.so.12.1.105", 679264, MACHINE + "/"))
    assert finding.fixes == (Fix("unset", ("LD_LIBRARY_PATH",)),)


def test_same_system_cuda_or_driver_alone_is_not_reported() -> None:
    assert list(cuda_libraries.find_system_cuda(with_machine("libcudart.so.12.4.127", 700000))) == []
    assert list(cuda_libraries.find_system_cuda(with_machine("libcudart.so.12", 707904))) == []
    driver = facts(
        environ={"LD_LIBRARY_PATH": "/usr/lib64-nvidia"},
        system_libraries=(("libcuda.so.1", "/usr/lib64-nvidia/libcuda.so.1"),),
    )
    assert list(cuda_libraries.find_system_cuda(driver)) == []


def test_wheel_folders_on_library_path_are_not_reported() -> None:
    own = dist("nvidia-cuda-runtime-cu12", "12.4.127", libraries=(("libcudart.so.12", RUNTIME),))
    here = facts(
        own, system_libraries=(("libcudart.so.12", RUNTIME),), library_files={RUNTIME: ("libcudart.so.12", 7)}
    )
    assert list(cuda_libraries.find_system_cuda(here)) == []


def test_gpu_too_new_for_tensorflow() -> None:
    (finding,) = cuda.find_unsupported_gpu(facts(tensorflow("2.15.1"), gpus=RTX_5090))
    assert "12.0" in finding.summary
    assert finding.fixes[0].arguments[0].startswith("tensorflow[and-cuda]==2.2")
    for passed in (
        facts(tensorflow("2.15.1"), gpus=T4),
        facts(tensorflow("2.15.1")),
        facts(tensorflow("2.15.1", "tensorflow-cpu"), gpus=RTX_5090),
        facts(tensorflow("2.20.0"), gpus=RTX_5090),
        facts(tensorflow("2.15.1"), gpus=(*RTX_5090, *T4)),
    ):
        assert list(cuda.find_unsupported_gpu(passed)) == []


def test_gpu_too_new_for_pytorch() -> None:
    text = (
        "NVIDIA GeForce RTX 5090 with CUDA capability sm_120 is not compatible with the current PyTorch installation.\n"
        "The current PyTorch install supports CUDA capabilities sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90.\n"
        "RuntimeError: CUDA error: no kernel image is available for execution on the device"
    )
    failed = ErrorReport("cell 3", "", "RuntimeError", "", text=text)
    (finding,) = cuda.find_unsupported_gpu(facts(dist("torch", "2.5.1"), gpus=RTX_5090, errors=(failed,)))
    assert finding.explains == ("cell 3",)
    assert finding.evidence[0].startswith("CUDA capability sm_120 is not compatible")
    assert finding.fixes[0].arguments[0].startswith("torch==2.")
    assert list(cuda.find_unsupported_gpu(facts(dist("torch", "2.5.1"), gpus=RTX_5090))) == []


#: What TensorFlow 2.15 writes; the names of the libraries are not in it.
NO_DLOPEN = (
    "2026-11-22 W tensorflow/core/common_runtime/gpu/gpu_device.cc:2256] Cannot dlopen some GPU libraries. Please make "
    "sure the missing libraries mentioned above are installed properly if you would like to use GPU. Skipping "
    "registering GPU devices..."
)


def test_missing_cuda_libraries() -> None:
    (finding,) = cuda_libraries.find_unloadable_libraries(
        facts(tensorflow("2.15.1"), import_output={"import tensorflow": NO_DLOPEN}, gpus=T4)
    )
    assert "libcudnn.so.8 is in nvidia-cudnn-cu12==8.9.4.25, which is not installed" in finding.evidence
    assert "nvidia-cuda-runtime-cu12==12.2.140" in finding.fixes[0].arguments
    assert (
        list(
            cuda_libraries.find_unloadable_libraries(
                facts(tensorflow("2.15.1"), import_output={"import tensorflow": "oneDNN is on"}, gpus=T4)
            )
        )
        == []
    )


def test_missing_library_that_the_log_names() -> None:
    """TensorFlow up to 2.11 names them; TensorRT is only wished for."""
    text = (
        "W dso_loader.cc:64] Could not load dynamic library 'libcudnn.so.8'; dlerror: libcudnn.so.8: cannot open "
        "shared object file: No such file or directory\n"
        "W dso_loader.cc:64] Could not load dynamic library 'libnvinfer.so.7'; dlerror: libnvinfer.so.7\n"
        + NO_DLOPEN
    )
    (finding,) = cuda_libraries.find_unloadable_libraries(
        facts(tensorflow("2.11.1"), import_output={"import tensorflow": text}, gpus=T4)
    )
    assert finding.evidence[1:] == (
        "libcudnn.so.8 is in nvidia-cudnn-cu11==8.6.0.163, which is not installed",
    )
    assert finding.fixes == (Fix("install", ("nvidia-cudnn-cu11==8.6.0.163",)),)


def test_installed_libraries_that_are_not_found() -> None:
    release = next(each for each in load_table().releases if each.version == "2.21.0")
    libraries = cuda_libraries._loaded_libraries(release)
    every = dist(
        "nvidia-everything",
        modules=(),
        libraries=tuple((name, f"{SITE}/nvidia/x/lib/{name}") for name in libraries),
    )
    here = facts(
        tensorflow("2.21.0"),
        every,
        import_output={"x": NO_DLOPEN},
        environ={"LD_LIBRARY_PATH": "/usr/lib64-nvidia"},
    )
    (finding,) = cuda_libraries.find_unloadable_libraries(here)
    assert finding.fixes == (Fix("set", ("LD_LIBRARY_PATH", f"{SITE}/nvidia/x/lib:/usr/lib64-nvidia")),)
    assert "which is not on LD_LIBRARY_PATH" in finding.evidence[1]


def test_every_loaded_library_has_a_wheel() -> None:
    """For each release with CUDA wheels in the table, each library of its CUDA has one of them."""
    for release in load_table().releases:
        if release.cuda and not release.build.gpu_trouble:
            without_wheel = [
                library
                for library in cuda_libraries._loaded_libraries(release)
                if not cuda_libraries._wheel_of(library, release)
            ]
            assert not without_wheel, release.version


def test_what_colab_ships_is_not_reported() -> None:
    """The 2026.08 runtime has two versions of OpenCV over one another, and a TensorFlow that Google built."""
    shipped = load_runtime("colab-2026.08").packages("gpu")
    pair = [
        dist(name, shipped[name], modules=("cv2",)) for name in ("opencv-contrib-python", "opencv-python")
    ]
    assert pair[0].version != pair[1].version
    mixed = (
        over("cv2/a.py", "opencv-contrib-python", "opencv-python", on_disk="opencv-python"),
        over("cv2/b.py", "opencv-contrib-python", "opencv-python", on_disk="opencv-contrib-python"),
    )
    googles = tensorflow(shipped["tensorflow"])
    newest = (("A GPU of the future", "999.0", "15.0"),)
    assert codes(facts(*pair, googles, overlaps=mixed, gpus=newest)) == ["CE201", "CE215"]
    assert codes(facts(*pair, googles, overlaps=mixed, gpus=newest, colab_packages=(shipped,))) == []
    assert codes(facts(*pair, overlaps=mixed[:1])) == []
