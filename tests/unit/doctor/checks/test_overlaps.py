"""Checks of packages that overwrite each other, and of CUDA."""

from __future__ import annotations

from colabenv.doctor.checks import cuda, cuda_libraries, overlaps
from colabenv.doctor.checks.registry import RULES, run_rules
from colabenv.doctor.model import Distribution, ErrorReport, Facts, Fix, ModuleLocation, Overlap
from colabenv.frameworks.facts import load_table
from colabenv.frameworks.runtimes import load_runtime
from support.doctor.facts import SITE, dist, facts

T4 = (("Tesla T4", "550.54.15", "7.5"),)
RTX_5090 = (("NVIDIA GeForce RTX 5090", "570.86.10", "12.0"),)
CUDNN = f"{SITE}/nvidia/cudnn/lib/libcudnn.so.8"


def overlap(path: str, *owners: str, on_disk: str = "", hashed: bool = True) -> Overlap:
    return Overlap(f"{SITE}/{path}", owners, (on_disk,) if on_disk else (), hashed)


def tensorflow(version: str, name: str = "tensorflow") -> Distribution:
    return dist(name, version, modules=("tensorflow",), files=9000)


def codes(known: Facts) -> list[str]:
    """Return the codes of the findings about packages that overwrite each other."""
    rules = [rule for code, rule in RULES.items() if code.startswith("CE2")]
    return [finding.code for finding in run_rules(known, rules)]


def test_smaller_of_two_projects_with_one_module_is_uninstalled() -> None:
    pair = (dist("pyjwt", "2.9.0", modules=("jwt",), files=20), dist("jwt", "1.3.1", modules=("jwt",)))
    (finding,) = overlaps.find_overwritten_files(
        facts(*pair, overlaps=(overlap("jwt/__init__.py", "pyjwt", "jwt", on_disk="jwt"),))
    )
    assert finding.fixes == (Fix("uninstall", ("jwt",)), Fix("reinstall", ("pyjwt==2.9.0",)))
    assert (
        finding.evidence[0]
        == f"{SITE}/jwt/__init__.py: listed by pyjwt and jwt; the file on disk is from jwt"
    )


def test_required_project_is_kept() -> None:
    client = dist("client", requires=("jwt>=1",))
    pair = (dist("pyjwt", "2.9.0", files=20), dist("jwt", "1.3.1"))
    shared = (overlap("jwt/__init__.py", "pyjwt", "jwt", on_disk="jwt"),)
    (finding,) = overlaps.find_overwritten_files(facts(client, *pair, overlaps=shared))
    assert finding.fixes[0] == Fix("uninstall", ("pyjwt",))
    client = dist("client", requires=("jwt>=1", "pyjwt"))
    assert list(overlaps.find_overwritten_files(facts(client, *pair, overlaps=shared))) == []


def test_harmless_overlaps_are_not_reported() -> None:
    for shared in (
        (overlap("tests/__init__.py", "a", "b", on_disk="b"),),
        (overlap("a/tests/test_x.py", "a", "b", on_disk="b"),),
        (overlap("LICENSE", "a", "b", on_disk="b"),),
        # Two builds of one version of OpenCV, with all files of one of them.
        (
            overlap("cv2/__init__.py", "a", "b", on_disk="b"),
            overlap("cv2/cv2.abi3.so", "a", "b", on_disk="b"),
        ),
        (overlap("cv2/cv2.abi3.so", "a", "b", hashed=False),),
    ):
        assert codes(facts(dist("a", "4.10"), dist("b", "4.10"), overlaps=shared)) == [], shared


def test_mixed_builds_of_one_version_are_reported() -> None:
    shared = (
        overlap("cv2/__init__.py", "a", "b", on_disk="b"),
        overlap("cv2/cv2.abi3.so", "a", "b", on_disk="a"),
    )
    assert codes(facts(dist("a", "4.10"), dist("b", "4.10"), overlaps=shared)) == ["CE201"]


def test_older_of_two_builds_of_tensorflow_is_uninstalled() -> None:
    both = facts(
        tensorflow("2.15.1"),
        tensorflow("2.18.1", "tensorflow-cpu"),
        overlaps=(overlap("tensorflow/__init__.py", "tensorflow", "tensorflow-cpu", on_disk="tensorflow"),),
    )
    assert codes(both) == ["CE202"]
    (finding,) = overlaps.find_several_tensorflows(both)
    assert finding.fixes == (Fix("uninstall", ("tensorflow",)), Fix("reinstall", ("tensorflow-cpu==2.18.1",)))
    assert finding.removes == (f"{SITE}/tensorflow-2.15.1.dist-info",)


def test_empty_tensorflow_that_requires_another_build_is_not_reported() -> None:
    empty = dist("tensorflow", "2.15.1", modules=())
    assert codes(facts(empty, tensorflow("2.15.1", "tensorflow-intel"))) == []


def test_required_build_of_tensorflow_is_kept() -> None:
    text = dist("tensorflow-text", requires=("tensorflow<2.16,>=2.15",))
    (finding,) = overlaps.find_several_tensorflows(
        facts(text, tensorflow("2.15.1"), tensorflow("2.18.1", "tensorflow-cpu"))
    )
    assert finding.fixes[0] == Fix("uninstall", ("tensorflow-cpu",))


def test_leftover_folder_is_deleted() -> None:
    leftover = {"tensorflow": (ModuleLocation("namespace", f"{SITE}/tensorflow", SITE),)}
    hub = dist("hub", requires=("tensorflow",))
    (finding,) = overlaps.find_leftover_folders(facts(hub, modules=leftover))
    assert finding.fixes == (Fix("delete", (f"{SITE}/tensorflow",)), Fix("install", ("tensorflow",)))
    assert finding.covers == ("hub>tensorflow",)
    # Not reported: packages with a RECORD, which another rule checks; the user's folders; google, a namespace package.
    assert list(overlaps.find_leftover_folders(facts(tensorflow("2.18.1"), modules=leftover))) == []
    user = {"torch": (ModuleLocation("namespace", "/content/torch", "/content"),)}
    namespace = {"google": (ModuleLocation("namespace", f"{SITE}/google", SITE),)}
    assert list(overlaps.find_leftover_folders(facts(modules={**user, **namespace}))) == []


def test_cudnn_of_two_cuda_releases_is_reported() -> None:
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
    assert [fix.action for fix in finding.fixes] == ["up"]
    headers = (overlap("nvidia/cudnn/include/cudnn.h", *(wheel.name for wheel in pair)),)
    assert codes(facts(*pair, overlaps=headers)) == []


def pytorch(version: str) -> Distribution:
    """Return PyTorch with the requirements on CUDA wheels that the framework table has for it."""
    release = next(release for release in load_table().torch if release.version == version)
    return dist("torch", version, requires=release.cuda[""][0])


def pinned_wheels(*pins: str) -> list[Distribution]:
    """Return a distribution without modules for each `name==version`."""
    return [dist(name, version, modules=()) for name, _, version in (pin.partition("==") for pin in pins)]


def test_cuda_wheels_of_pytorch_replaced_by_tensorflow_are_reported() -> None:
    torch = pytorch("2.5.1")
    assert "nvidia-cuda-runtime-cu12==12.4.127" in torch.requires
    release = next(release for release in load_table().releases if release.version == "2.18.1")
    (finding,) = cuda.find_replaced_cuda_wheels(
        facts(torch, tensorflow("2.18.1"), *pinned_wheels(*release.extra))
    )
    assert "nvidia-cudnn-cu12==9.1.0.70" in finding.fixes[0].arguments
    assert "torch 2.5.1 requires nvidia-cudnn-cu12==9.1.0.70; installed: 9.3.0.75" in finding.evidence
    assert "tensorflow 2.18.1 needs nvidia-cublas-cu12==12.5.3.2" in finding.evidence
    assert "torch>nvidia-cudnn-cu12" in finding.covers
    assert codes(facts(torch, *pinned_wheels(*torch.requires))) == []


def test_cudnn_of_pytorch_is_reported_for_tensorflow() -> None:
    torch = pytorch("2.5.1")
    both = facts(torch, tensorflow("2.15.1"), *pinned_wheels(*torch.requires), gpus=T4)
    assert codes(both) == ["CE213"]
    (finding,) = cuda.find_wrong_cudnn(both)
    assert "nvidia-cudnn-cu12==8.9.4.25" in finding.summary
    assert any("torch 2.5.1 requires nvidia-cudnn-cu12" in line for line in finding.evidence)
    (finding,) = cuda.find_wrong_cudnn(
        facts(tensorflow("2.15.1"), *pinned_wheels("nvidia-cudnn-cu12==9.1.0.70"), gpus=T4)
    )
    assert finding.fixes == (Fix("install", ("nvidia-cudnn-cu12==8.9.4.25",)),)


def test_cudnn_that_does_no_harm_is_not_reported() -> None:
    for reason, build, cudnn, gpus in (
        ("no GPU", tensorflow("2.15.1"), "9.1.0.70", ()),
        ("a build without GPU support", tensorflow("2.15.1", "tensorflow-cpu"), "9.1.0.70", T4),
        ("the same major version", tensorflow("2.15.1"), "8.9.2.26", T4),
        ("a required range", tensorflow("2.20.0"), "9.1.0.70", T4),
    ):
        wheels = pinned_wheels(f"nvidia-cudnn-cu12=={cudnn}")
        assert codes(facts(build, *wheels, gpus=gpus)) == [], reason


SYSTEM_CUDA = "/usr/local/cuda/lib64"
RUNTIME = f"{SITE}/nvidia/cuda_runtime/lib/libcudart.so.12"


def facts_with_system_cuda(
    real_name: str, size: int, library_path: str = f"{SYSTEM_CUDA}:/usr/lib64-nvidia"
) -> Facts:
    """Return facts with CUDA 12.4 from a wheel, and a libcudart of the system before it."""
    wheel = dist(
        "nvidia-cuda-runtime-cu12", "12.4.127", modules=(), libraries=(("libcudart.so.12", RUNTIME),)
    )
    system = f"{SYSTEM_CUDA}/libcudart.so.12"
    return facts(
        wheel,
        environ={"LD_LIBRARY_PATH": library_path},
        system_libraries=(("libcudart.so.12", system), ("libcuda.so.1", "/usr/lib64-nvidia/libcuda.so.1")),
        library_files={RUNTIME: ("libcudart.so.12", 707904), system: (real_name, size)},
    )


def test_system_cuda_before_the_wheels_is_reported() -> None:
    (finding,) = cuda_libraries.find_system_cuda(facts_with_system_cuda("libcudart.so.12.1.105", 679264))
    assert finding.fixes == (Fix("set", ("LD_LIBRARY_PATH", "/usr/lib64-nvidia")),)
    assert f"libcudart.so.12 is loaded from {SYSTEM_CUDA}/libcudart.so.12" in finding.evidence[1]
    (finding,) = cuda_libraries.find_system_cuda(
        facts_with_system_cuda("libcudart.so.12.1.105", 679264, f"{SYSTEM_CUDA}/")
    )
    assert finding.fixes == (Fix("unset", ("LD_LIBRARY_PATH",)),)


def test_same_system_cuda_or_driver_alone_is_not_reported() -> None:
    for real_name, size in (("libcudart.so.12.4.127", 700000), ("libcudart.so.12", 707904)):
        same = facts_with_system_cuda(real_name, size)
        assert list(cuda_libraries.find_system_cuda(same)) == [], real_name
    driver = facts(
        environ={"LD_LIBRARY_PATH": "/usr/lib64-nvidia"},
        system_libraries=(("libcuda.so.1", "/usr/lib64-nvidia/libcuda.so.1"),),
    )
    assert list(cuda_libraries.find_system_cuda(driver)) == []


def test_wheel_folders_on_library_path_are_not_reported() -> None:
    libraries = (("libcudart.so.12", RUNTIME),)
    wheel = dist("nvidia-cuda-runtime-cu12", "12.4.127", libraries=libraries)
    known = facts(wheel, system_libraries=libraries, library_files={RUNTIME: ("libcudart.so.12", 7)})
    assert list(cuda_libraries.find_system_cuda(known)) == []


def test_gpu_too_new_for_tensorflow_is_reported() -> None:
    (finding,) = cuda.find_unsupported_gpu(facts(tensorflow("2.15.1"), gpus=RTX_5090))
    assert "12.0" in finding.summary
    assert finding.fixes[0].arguments[0].startswith("tensorflow[and-cuda]==2.2")
    for supported in (
        facts(tensorflow("2.15.1"), gpus=T4),
        facts(tensorflow("2.15.1")),
        facts(tensorflow("2.15.1", "tensorflow-cpu"), gpus=RTX_5090),
        facts(tensorflow("2.20.0"), gpus=RTX_5090),
        facts(tensorflow("2.15.1"), gpus=(*RTX_5090, *T4)),
    ):
        assert list(cuda.find_unsupported_gpu(supported)) == []


def test_gpu_too_new_for_pytorch_is_reported_after_an_error() -> None:
    text = (
        "NVIDIA GeForce RTX 5090 with CUDA capability sm_120 is not compatible with the current PyTorch installation.\n"
        "The current PyTorch install supports CUDA capabilities sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90.\n"
        "RuntimeError: CUDA error: no kernel image is available for execution on the device"
    )
    error = ErrorReport("cell 3", "", "RuntimeError", "", text=text)
    (finding,) = cuda.find_unsupported_gpu(facts(dist("torch", "2.5.1"), gpus=RTX_5090, errors=(error,)))
    assert finding.explains == ("cell 3",)
    assert finding.evidence[0].startswith("CUDA capability sm_120 is not compatible")
    assert finding.fixes[0].arguments[0].startswith("torch==2.")
    assert list(cuda.find_unsupported_gpu(facts(dist("torch", "2.5.1"), gpus=RTX_5090))) == []


#: What TensorFlow 2.15 writes. It does not name the libraries.
NO_DLOPEN = (
    "2026-11-22 W tensorflow/core/common_runtime/gpu/gpu_device.cc:2256] Cannot dlopen some GPU libraries. Please make "
    "sure the missing libraries mentioned above are installed properly if you would like to use GPU. Skipping "
    "registering GPU devices..."
)


def test_missing_cuda_libraries_are_installed() -> None:
    (finding,) = cuda_libraries.find_unloadable_libraries(
        facts(tensorflow("2.15.1"), import_output={"import tensorflow": NO_DLOPEN}, gpus=T4)
    )
    assert "libcudnn.so.8 is in nvidia-cudnn-cu12==8.9.4.25, which is not installed" in finding.evidence
    assert "nvidia-cuda-runtime-cu12==12.2.140" in finding.fixes[0].arguments
    working = facts(tensorflow("2.15.1"), import_output={"import tensorflow": "oneDNN is on"}, gpus=T4)
    assert list(cuda_libraries.find_unloadable_libraries(working)) == []


def test_missing_library_that_tensorflow_names_is_installed() -> None:
    """TensorFlow up to 2.11 names the missing libraries. TensorRT is optional and not installed."""
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


def test_folders_of_installed_libraries_are_added_to_the_library_path() -> None:
    release = next(release for release in load_table().releases if release.version == "2.21.0")
    libraries = cuda_libraries._loaded_libraries(release)
    wheel = dist(
        "nvidia-everything",
        modules=(),
        libraries=tuple((name, f"{SITE}/nvidia/x/lib/{name}") for name in libraries),
    )
    known = facts(
        tensorflow("2.21.0"),
        wheel,
        import_output={"x": NO_DLOPEN},
        environ={"LD_LIBRARY_PATH": "/usr/lib64-nvidia"},
    )
    (finding,) = cuda_libraries.find_unloadable_libraries(known)
    assert finding.fixes == (Fix("set", ("LD_LIBRARY_PATH", f"{SITE}/nvidia/x/lib:/usr/lib64-nvidia")),)
    assert "which is not on LD_LIBRARY_PATH" in finding.evidence[1]


def test_every_loaded_library_has_a_wheel() -> None:
    """The table has a wheel for each CUDA library that a release loads."""
    for release in load_table().releases:
        if release.cuda and not release.build.gpu_trouble:
            without_wheel = [
                library
                for library in cuda_libraries._loaded_libraries(release)
                if not cuda_libraries._wheel_of(library, release)
            ]
            assert without_wheel == [], release.version


def test_packages_that_colab_ships_are_not_reported() -> None:
    """The 2026.08 runtime has two versions of OpenCV in one folder, and Google's build of TensorFlow."""
    shipped = load_runtime("colab-2026.08").packages("gpu")
    pair = [
        dist(name, shipped[name], modules=("cv2",)) for name in ("opencv-contrib-python", "opencv-python")
    ]
    assert pair[0].version != pair[1].version
    mixed = (
        overlap("cv2/a.py", "opencv-contrib-python", "opencv-python", on_disk="opencv-python"),
        overlap("cv2/b.py", "opencv-contrib-python", "opencv-python", on_disk="opencv-contrib-python"),
    )
    build = tensorflow(shipped["tensorflow"])
    unknown_gpu = (("A GPU of the future", "999.0", "15.0"),)
    assert codes(facts(*pair, build, overlaps=mixed, gpus=unknown_gpu)) == ["CE201", "CE215"]
    assert codes(facts(*pair, build, overlaps=mixed, gpus=unknown_gpu, colab_packages=(shipped,))) == []
    assert codes(facts(*pair, overlaps=mixed[:1])) == []
