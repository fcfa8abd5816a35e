"""The rules on versions, each where it must speak and where it must not."""

from __future__ import annotations

import pytest
from packaging.specifiers import SpecifierSet

from colabenv.doctor.checks import diagnose
from colabenv.doctor.installers import refusals_in
from colabenv.doctor.model import Complaint, Distribution, Facts, Finding, Place, Usage
from colabenv.doctor.needs import mending, narrowed, possible
from colabenv.doctor.tracebacks import complaints_in

SITE = "/env/lib/python3.11/site-packages"
MARKERS = {"python_version": "3.11", "python_full_version": "3.11.7", "sys_platform": "linux"}


def dist(name: str, version: str, *requires: str, extensions: bool = False, root: str = SITE) -> Distribution:
    module = {"protobuf": "google"}.get(name, name.replace("-", "_"))
    return Distribution(
        name=name,
        version=version,
        root=root,
        info=f"{root}/{name}-{version}.dist-info",
        requires=requires,
        modules=(module,),
        extensions=("cpython-311-x86_64-linux-gnu",) if extensions else (),
    )


def facts(
    *distributions: Distribution,
    python: tuple[int, int, int] = (3, 11, 7),
    said: str = "",
    modules: tuple[str, ...] = (),
    environ: dict[str, str] | None = None,
    usages: tuple[Usage, ...] = (),
    here: bool = True,
) -> Facts:
    names = {*modules, *(module for one in distributions for module in one.modules)}
    return Facts(
        target="a test",
        python=python,
        markers=MARKERS,
        distributions=distributions,
        modules={name: (Place("package", f"{SITE}/{name}/__init__.py", SITE),) for name in names},
        environ=environ or {},
        usages=usages,
        complaints=tuple(complaints_in(said, "import it", here=here)),
    )


def found(known: Facts, code: str) -> Finding:
    """The one finding, whose code must be this."""
    findings = diagnose(known)
    assert [finding.code for finding in findings] == [code], findings
    return findings[0]


def commands(finding: Finding) -> tuple[str, ...]:
    return tuple(one for step in finding.steps for one in step.arguments)


def raised(last: str, *frames: str) -> str:
    shown = "".join(f'  File "{SITE}/{frame}", line 1, in <module>\n    import it\n' for frame in frames)
    return f"Traceback (most recent call last):\n{shown}{last}\n"


TF_215 = dist(
    "tensorflow",
    "2.15.1",
    "keras<2.16,>=2.15.0",
    "numpy<2.0.0,>=1.23.5",
    "protobuf!=4.21.0,<5.0.0dev,>=3.20.3",
    "wrapt<1.15,>=1.11.0",
    "ml-dtypes~=0.3.1",
)
OF_215 = (
    dist("keras", "2.15.0"),
    dist("numpy", "1.26.4"),
    dist("protobuf", "4.25.8"),
    dist("wrapt", "1.14.1"),
    dist("ml-dtypes", "0.3.2", "numpy>1.20", extensions=True),
)
TF_218 = dist("tensorflow", "2.18.1", "keras>=3.5.0", "numpy<2.1.0,>=1.26.0")
OF_218 = (dist("keras", "3.8.0"), dist("numpy", "2.0.2"))


def without(name: str, *others: Distribution) -> tuple[Distribution, ...]:
    return (*(one for one in OF_215 if one.name != name), *others)


def test_a_whole_environment_has_nothing_wrong() -> None:
    assert diagnose(facts(TF_215, *OF_215)) == ()
    assert diagnose(facts(TF_218, *OF_218)) == ()


# CE101


def test_a_requirement_that_is_not_met() -> None:
    one = found(facts(dist("a", "1", "b>=2,<3"), dist("b", "1.9")), "CE101")
    assert one.what == "b 1.9 is too old for a 1."
    assert "a 1 requires b>=2,<3" in one.evidence
    assert commands(one) == ("b<3,>=2",)


def test_a_requirement_that_is_missing() -> None:
    one = found(facts(dist("a", "1", "b>=2")), "CE101")
    assert one.what == "b is not installed, and it is needed by a 1."


@pytest.mark.parametrize(
    "distributions",
    [
        (dist("a", "1", "b>=2; python_version < '3.8'"),),
        (dist("a", "1", "b>=2; extra == 'more'"),),
        (dist("a", "1", "opencv-python>=4"), dist("opencv-python-headless", "4.10")),
        (dist("ipython", "7.34.0", "jedi>=0.16"),),  # as Colab ships it
        (dist("pygobject", "3.42.2", "pycairo>=1.16", root="/usr/lib/python3/dist-packages"),),  # Debian's
        (dist("a", "1", "b>=2"), dist("b", "2.1rc1+local")),
    ],
)
def test_what_is_not_wrong(distributions: tuple[Distribution, ...]) -> None:
    assert diagnose(facts(*distributions)) == ()


def test_a_framework_stays_and_what_needs_another_moves() -> None:
    one = found(facts(dist("torchvision", "0.20.0", "torch==2.5.0"), dist("torch", "2.6.0")), "CE101")
    assert commands(one) == ("torchvision", "torch==2.6.0")


def test_requirements_that_contradict_each_other_move_those_that_are_no_framework() -> None:
    known = facts(TF_215, *without("numpy"), dist("numpy", "2.2.0"), dist("cv", "5", "numpy>=2"))
    assert mending(known, "numpy") == ("numpy<2.0.0,>=1.23.5", "cv")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        (">=1,<2", True),
        (">=2,<2", False),
        (">=2,<1.5", False),
        ("~=0.3.1,<0.4", True),
        ("~=0.3.1,>=0.4", False),
        ("==1.2.3,!=1.2.3", False),
        (">1.2,<1.2.5", True),
        ("==2.15.*,>=2.15.1", True),
    ],
)
def test_whether_a_range_can_be_met(text: str, expected: bool) -> None:
    assert possible(SpecifierSet(text)) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (">1.20,>=1.23.5,<2.0.0,<2", ">=1.23.5,<2"),
        ("<=2,<2,!=1.5", "<2,!=1.5"),
        ("~=0.3.1,>=0.2", "~=0.3.1,>=0.2"),
        ("", ""),
    ],
)
def test_a_range_without_what_is_superfluous(text: str, expected: str) -> None:
    assert narrowed(SpecifierSet(text)) == SpecifierSet(expected)


# CE102, CE103, CE104


def test_keras_3_beside_tensorflow_2_15() -> None:
    said = raised("ImportError: cannot import name 'x' from 'keras'", "tensorflow/__init__.py", "keras/a.py")
    one = found(facts(TF_215, *without("keras", dist("keras", "3.5.0")), said=said), "CE102")
    assert one.what == "keras 3.5.0 is too new for tensorflow 2.15.1."
    assert "tensorflow 2.15.1 requires keras<2.16,>=2.15.0" in one.evidence
    assert one.explains == ("import it",)
    assert commands(one) == ("keras<2.16,>=2.15.0",)


def test_keras_2_beside_tensorflow_2_18() -> None:
    one = found(facts(TF_218, dist("keras", "2.15.0"), dist("numpy", "2.0.2")), "CE102")
    assert one.what == "keras 2.15.0 is too old for tensorflow 2.18.1."


def test_keras_2_8_beside_tensorflow_2_6_whose_metadata_leaves_it_open() -> None:
    tensorflow = dist("tensorflow", "2.6.5", "keras>=2.6.0rc0")
    one = found(facts(tensorflow, dist("keras", "2.8.0")), "CE102")
    assert any("keras<2.7" in line for line in one.evidence)
    assert commands(one) == ("keras<2.7,>=2.6.0rc0",)


def test_tf_keras_of_another_tensorflow() -> None:
    legacy = dist("tf-keras", "2.15.1", "tensorflow<2.16,>=2.15")
    one = found(facts(TF_218, *OF_218, legacy), "CE103")
    assert commands(one) == ("tf-keras==2.18.*",)
    assert diagnose(facts(TF_218, *OF_218, dist("tf-keras", "2.18.0", "tensorflow<2.19,>=2.18"))) == ()


@pytest.mark.parametrize(
    ("more", "environ", "said"),
    [
        (dist("tensorflow-hub", "0.12.0", "tf-keras>=2.14.1"), {}, ""),
        (dist("tensorflow-probability", "0.25.0"), {}, ""),
        (dist("a", "1"), {"TF_USE_LEGACY_KERAS": "1"}, ""),
        (dist("a", "1"), {}, raised("ModuleNotFoundError: No module named 'tf_keras'", "a/b.py")),
    ],
)
def test_tf_keras_is_missing(more: Distribution, environ: dict[str, str], said: str) -> None:
    one = found(facts(TF_218, *OF_218, more, environ=environ, said=said), "CE104")
    assert commands(one) == ("tf-keras==2.18.*",)


def test_tf_keras_is_not_missed() -> None:
    assert diagnose(facts(TF_215, *OF_215, environ={"TF_USE_LEGACY_KERAS": "1"})) == ()
    legacy = dist("tf-keras", "2.18.0")
    probability = dist("tensorflow-probability", "0.25.0")
    assert diagnose(facts(TF_218, *OF_218, legacy, probability, environ={"TF_USE_LEGACY_KERAS": "1"})) == ()


# CE105, CE106


def test_numpy_2_under_tensorflow_2_15_and_a_wheel_of_its_time() -> None:
    known = facts(
        TF_215, *without("numpy", dist("numpy", "2.0.2"), dist("h5py", "3.10.0", "numpy", extensions=True))
    )
    one = found(known, "CE105")
    assert one.what == "numpy 2.0.2 is too new for tensorflow 2.15.1, ml-dtypes 0.3.2, h5py 3.10.0."
    assert commands(one) == ("numpy<2,>=1.23.5",)


def test_numpy_2_under_tensorflow_2_10_whose_metadata_leaves_it_open() -> None:
    one = found(facts(dist("tensorflow", "2.10.1", "numpy>=1.20"), dist("numpy", "2.2.0")), "CE105")
    assert "tensorflow 2.10.1 needs numpy<2: no metadata says so" in one.evidence[0]
    assert commands(one) == ("numpy<2,>=1.20",)


def test_newer_wheels_where_something_needs_numpy_2() -> None:
    old = dist("pandas", "2.0.3", "numpy>=1.20.3", extensions=True)
    one = found(facts(old, dist("cv", "5", "numpy>=2"), dist("numpy", "2.2.0")), "CE105")
    assert commands(one) == ("pandas>=2.2.2",)


def test_numpy_2_by_what_an_exception_says() -> None:
    said = raised("AttributeError: _ARRAY_API not found", "odd/__init__.py", "numpy/core/a.py")
    one = found(facts(dist("odd", "1"), dist("numpy", "2.0.2"), said=said), "CE105")
    assert one.what == "numpy 2.0.2 is too new for odd 1."
    assert one.explains == ("import it",)


def test_a_wheel_for_numpy_1_that_is_to_be_replaced_anyway() -> None:
    tensorflow = dist("tensorflow", "2.18.1", "ml-dtypes<0.5.0,>=0.4.0", "numpy<2.1.0,>=1.26.0")
    old = dist("ml-dtypes", "0.3.2", "numpy>1.20", extensions=True)
    said = raised("ImportError: numpy.core.umath failed to import", "tensorflow/a.py", "ml_dtypes/_finfo.py")
    one = found(facts(tensorflow, old, dist("numpy", "2.0.2"), said=said), "CE108")
    assert one.explains == ("import it",)


@pytest.mark.parametrize(
    "distributions",
    [
        (dist("pandas", "2.2.2", "numpy>=1.23", extensions=True), dist("numpy", "2.0.2")),
        (dist("pandas", "2.0.3", "numpy>=1.20.3", extensions=True), dist("numpy", "1.26.4")),
        (dist("tensorflow", "2.10.1", "numpy>=1.20"), dist("numpy", "1.26.4")),
    ],
)
def test_numpy_that_fits(distributions: tuple[Distribution, ...]) -> None:
    assert diagnose(facts(*distributions)) == ()


def test_numpy_too_old() -> None:
    one = found(facts(dist("cv", "5", "numpy>=2"), dist("numpy", "1.26.4")), "CE106")
    assert one.what == "numpy 1.26.4 is too old for cv 5."
    assert commands(one) == ("numpy>=2",)


@pytest.mark.parametrize(
    "last",
    [
        "ModuleNotFoundError: No module named 'numpy._core'",
        "RuntimeError: module compiled against ABI version 0x2000000 but this version of numpy is 0x1000009",
    ],
)
def test_numpy_too_old_by_what_an_exception_says(last: str) -> None:
    one = found(facts(dist("numpy", "1.26.4"), said=raised(last, "a.py")), "CE106")
    assert commands(one) == ("numpy>=2",)
    held = dist("tensorflow", "2.15.1", "numpy<2.0.0,>=1.23.5")
    one = found(facts(held, dist("numpy", "1.23.5"), said=raised(last, "a.py")), "CE106")
    assert commands(one) == ("numpy<2.0.0,>1.23.5",)


# CE107


def test_protobuf_by_metadata() -> None:
    one = found(facts(TF_215, *without("protobuf", dist("protobuf", "6.33.0"))), "CE107")
    assert one.what == "protobuf 6.33.0 is too new for tensorflow 2.15.1."
    assert commands(one) == ("protobuf!=4.21.0,<5.0.0dev,>=3.20.3",)


@pytest.mark.parametrize(
    ("version", "last", "expected"),
    [
        ("4.25.8", "TypeError: Descriptors cannot be created directly.", "protobuf<3.21"),
        (
            "3.19.6",
            "ImportError: cannot import name 'builder' from 'google.protobuf.internal'",
            "protobuf>=3.20",
        ),
        (
            "4.25.8",
            "ImportError: cannot import name 'runtime_version' from 'google.protobuf'",
            "protobuf>=5.27",
        ),
        (
            "6.33.0",
            "AttributeError: 'MessageFactory' object has no attribute 'GetPrototype'",
            "protobuf<6.30",
        ),
        (
            "5.29.3",
            "google.protobuf.runtime_version.VersionError: Detected incompatible Protobuf Gencode/Runtime versions "
            "when loading a.proto: gencode 6.31.1 runtime 5.29.3. Runtime version cannot be older",
            "protobuf>=6.31.1",
        ),
    ],
)
def test_protobuf_by_what_an_exception_says(version: str, last: str, expected: str) -> None:
    known = facts(dist("odd", "1"), dist("protobuf", version), said=raised(last, "odd/a_pb2.py"))
    one = found(known, "CE107")
    assert commands(one) == (expected,)
    assert one.what.endswith("for odd 1.")
    assert diagnose(facts(dist("odd", "1", "protobuf"), dist("protobuf", version))) == ()


# CE108, CE109


def test_what_tensorflow_needs_is_one_finding() -> None:
    kept = tuple(one for one in OF_215 if one.name not in {"wrapt", "ml-dtypes"})
    one = found(facts(TF_215, *kept, dist("wrapt", "1.10.11")), "CE108")
    assert one.what == "wrapt 1.10.11 is too old and ml-dtypes is missing for tensorflow 2.15.1."
    assert commands(one) == ("wrapt<1.15,>=1.11.0", "ml-dtypes~=0.3.1")


def test_a_companion_whose_metadata_tells() -> None:
    text = dist("tensorflow-text", "2.18.1", "tensorflow<2.19,>=2.18.0")
    one = found(facts(TF_215, *OF_215, text), "CE109")
    assert "tensorflow-text 2.18.1 requires tensorflow<2.19,>=2.18.0" in one.evidence
    assert commands(one) == ("tensorflow-text==2.15.0",)
    assert (
        diagnose(facts(TF_215, *OF_215, dist("tensorflow-text", "2.15.0", "tensorflow<2.16,>=2.15.0"))) == ()
    )


def test_a_companion_whose_metadata_is_silent() -> None:
    one = found(facts(TF_215, *OF_215, dist("tensorflow-probability", "0.25.0")), "CE109")
    assert commands(one) == ("tensorflow-probability==0.23.0",)
    assert diagnose(facts(TF_215, *OF_215, dist("tensorflow-probability", "0.23.0"))) == ()


def test_something_unknown_that_goes_with_another_tensorflow() -> None:
    one = found(facts(TF_215, *OF_215, dist("odd-models", "2.18.0", "tensorflow~=2.18.0")), "CE109")
    assert commands(one) == ("odd-models", "tensorflow==2.15.1")


def test_tensorflow_cpu_does_for_tensorflow() -> None:
    cpu = dist("tensorflow-cpu", "2.15.1")
    assert diagnose(facts(cpu, dist("tensorflow-text", "2.15.0", "tensorflow<2.16,>=2.15.0"))) == ()


# CE110, CE111, CE112


def test_pkg_resources_is_gone() -> None:
    board = dist("tensorboard", "2.19.0", "setuptools>=41.0.0")
    one = found(facts(board, dist("setuptools", "82.0.0")), "CE110")
    assert commands(one) == ("setuptools<81,>=41.0.0",)
    assert diagnose(facts(board, dist("setuptools", "80.9.0"), modules=("pkg_resources",))) == ()
    assert diagnose(facts(dist("tensorboard", "2.21.0"), dist("setuptools", "82.0.0"))) == ()
    said = raised("ModuleNotFoundError: No module named 'pkg_resources'", "odd/__init__.py")
    one = found(facts(dist("odd", "1"), said=said), "CE110")
    assert one.what == "odd 1 imports pkg_resources, and setuptools is not installed."


def test_distutils_is_gone() -> None:
    said = raised("ModuleNotFoundError: No module named 'distutils'", "odd/__init__.py")
    one = found(facts(dist("odd", "1"), python=(3, 12, 1), said=said), "CE111")
    assert commands(one) == ("setuptools<81",)
    usage = (Usage("distutils.util", "cell 3, line 1", "import distutils.util"),)
    assert found(facts(python=(3, 12, 1), usages=usage), "CE111").evidence == (
        "cell 3, line 1: import distutils.util",
    )
    assert diagnose(facts(python=(3, 11, 7), usages=usage)) == ()
    assert diagnose(facts(dist("setuptools", "80.9.0"), python=(3, 12, 1), usages=usage)) == ()


PIP = """\
Looking in indexes: …
ERROR: Could not find a version that satisfies the requirement {wanted} (from versions: {listed})
ERROR: No matching distribution found for {wanted}
"""
UV = """\
error: No solution found when resolving dependencies
  cause: Because tensorflow==2.15.0 has no wheels with a matching Python ABI tag (e.g., `cp312`) and you require \
tensorflow==2.15.0, we can conclude that your requirements are unsatisfiable.

hint: You require CPython 3.12 (`cp312`), but we only found wheels for `tensorflow` (v2.15.0) with the following \
Python ABI tags: `cp39`, `cp310`, `cp311`
"""
UV_FRAMED = """\
  × No solution found when resolving dependencies:
  ╰─▶ Because tensorflow==2.15.0 has no wheels with a matching Python ABI tag
      (e.g., `cp312`) and you require tensorflow==2.15.0, we can conclude that
      your requirements are unsatisfiable.
"""


def refused(text: str) -> tuple[Complaint, ...]:
    return tuple(refusals_in(text, "the output"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (PIP.format(wanted="tensorflow==2.15.0", listed="2.16.1, 2.17.0"), "tensorflow==2.15.0"),
        (UV, "tensorflow==2.15.0"),
        (UV_FRAMED, "tensorflow==2.15.0"),
        ("ERROR: Package 'odd' requires a different Python: 3.12.1 not in '<3.12,>=3.9'\n", "odd"),
        (
            "ERROR: odd-1.0-cp38-cp38-linux_x86_64.whl is not a supported wheel on this platform.\n",
            "odd==1.0",
        ),
        ("\x1b[31mERROR: No matching distribution found for odd<2\x1b[0m\n", "odd<2"),
    ],
)
def test_the_words_of_installers(text: str, wanted: str) -> None:
    assert [one.statement for one in refused(text)] == [wanted]


@pytest.mark.parametrize(
    "text",
    [
        "Successfully installed tensorflow-2.15.1\n",
        "error: No solution found when resolving dependencies\n  cause: Because a==1 depends on b>=2 and you require "
        "a==1 and b<2, we can conclude that your requirements are unsatisfiable.\n",
        "ERROR: Could not open requirements file\n",
    ],
)
def test_other_words_of_installers(text: str) -> None:
    assert refused(text) == ()


def test_no_wheel_of_a_framework_for_this_python() -> None:
    known = Facts(target="a test", python=(3, 12, 1), complaints=refused(UV))
    one = found(known, "CE112")
    assert one.what == "There is no TensorFlow 2.15.0 for Python 3.12."
    assert "3.9 to 3.11" in one.why
    assert [(step.action, step.arguments) for step in one.steps] == [("up", ("builtin:tf-2.15",))]


def test_no_wheel_of_a_framework_that_no_shipped_profile_has() -> None:
    text = PIP.format(wanted="tensorflow<2.13", listed="2.16.1")
    one = found(Facts(target="a test", python=(3, 12, 1), complaints=refused(text)), "CE112")
    assert one.steps[0].arguments == (
        "tensorflow-2.12.yaml",
        '{name: tensorflow-2.12, stack: {tensorflow: "2.12.1"}}',
    )


def test_no_wheel_of_another_package() -> None:
    text = PIP.format(wanted="odd==1.0", listed="1.2, 2.0rc1, 1.10")
    one = found(Facts(target="a test", python=(3, 12, 1), complaints=refused(text)), "CE112")
    assert commands(one) == ("odd==1.10",)


# All of them


def test_each_finding_says_all_that_a_person_needs() -> None:
    broken = facts(
        TF_215,
        *without("keras", dist("keras", "3.5.0")),
        dist("tensorflow-text", "2.18.1", "tensorflow<2.19,>=2.18.0"),
        dist("a", "1", "b>=2"),
    )
    findings = diagnose(broken)
    assert [finding.code for finding in findings] == ["CE101", "CE102", "CE109"]
    for finding in findings:
        assert finding.what.endswith(".")
        assert finding.evidence
        assert finding.why.endswith(".")
        assert finding.steps
