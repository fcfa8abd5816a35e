"""The rules on versions, each where it must speak and where it must not."""

from __future__ import annotations

import pytest
from packaging.specifiers import SpecifierSet

from colabenv.doctor.checks import diagnose
from colabenv.doctor.model import Distribution
from colabenv.doctor.requirements import is_satisfiable, requirements_for, simplify
from support.doctor.facts import SOABI, dist, facts, fix_arguments, only_finding, traceback

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
    dist("ml-dtypes", "0.3.2", "numpy>1.20", extensions=(SOABI,)),
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
    one = only_finding(facts(dist("a", "1", "b>=2,<3"), dist("b", "1.9")), "CE101")
    assert one.summary == "b 1.9 is too old for a 1."
    assert "a 1 requires b>=2,<3" in one.evidence
    assert fix_arguments(one) == ("b<3,>=2",)


def test_a_requirement_that_is_missing() -> None:
    one = only_finding(facts(dist("a", "1", "b>=2")), "CE101")
    assert one.summary == "b is not installed, but required by a 1."


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
    one = only_finding(facts(dist("torchvision", "0.20.0", "torch==2.5.0"), dist("torch", "2.6.0")), "CE101")
    assert fix_arguments(one) == ("torchvision", "torch==2.6.0")


def test_requirements_that_contradict_each_other_move_those_that_are_no_framework() -> None:
    known = facts(TF_215, *without("numpy"), dist("numpy", "2.2.0"), dist("cv", "5", "numpy>=2"))
    assert requirements_for(known, "numpy") == ("numpy<2.0.0,>=1.23.5", "cv")


def test_typing_extensions_too_old_by_what_an_exception_says() -> None:
    said = traceback(
        "ImportError: cannot import name 'Self' from 'typing_extensions' (/a.py)", "odd/__init__.py"
    )
    old = dist("typing-extensions", "3.7.4.3")
    assert fix_arguments(only_finding(facts(old, error=said), "CE113")) == ("typing-extensions>3.7.4.3",)
    told = only_finding(facts(old, dist("odd", "1", "typing-extensions>=4"), error=said), "CE101")
    assert told.explains == ("import it",)
    assert diagnose(facts(old)) == ()


def test_who_lacks_something_is_said_to_be_missing_itself() -> None:
    said = traceback("ImportError: To use Keras, you need to have `optree` installed.", "keras/a.py")
    optree = dist("optree", "0.20.0", "typing-extensions>=4.10.0")
    one = only_finding(facts(optree, dist("typing-extensions", "3.7.4.3"), error=said), "CE101")
    assert one.explains == ("import it",)


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
    assert is_satisfiable(SpecifierSet(text)) is expected


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
    assert simplify(SpecifierSet(text)) == SpecifierSet(expected)


# CE102, CE103, CE104


def test_keras_3_beside_tensorflow_2_15() -> None:
    said = traceback(
        "ImportError: cannot import name 'x' from 'keras'", "tensorflow/__init__.py", "keras/a.py"
    )
    one = only_finding(facts(TF_215, *without("keras", dist("keras", "3.5.0")), error=said), "CE102")
    assert one.summary == "keras 3.5.0 is too new for tensorflow 2.15.1."
    assert "tensorflow 2.15.1 requires keras<2.16,>=2.15.0" in one.evidence
    assert one.explains == ("import it",)
    assert fix_arguments(one) == ("keras<2.16,>=2.15.0",)


def test_keras_2_beside_tensorflow_2_18() -> None:
    one = only_finding(facts(TF_218, dist("keras", "2.15.0"), dist("numpy", "2.0.2")), "CE102")
    assert one.summary == "keras 2.15.0 is too old for tensorflow 2.18.1."


def test_keras_2_8_beside_tensorflow_2_6_whose_metadata_leaves_it_open() -> None:
    tensorflow = dist("tensorflow", "2.6.5", "keras>=2.6.0rc0")
    one = only_finding(facts(tensorflow, dist("keras", "2.8.0")), "CE102")
    assert any("keras<2.7" in line for line in one.evidence)
    assert fix_arguments(one) == ("keras<2.7,>=2.6.0rc0",)


def test_tf_keras_of_another_tensorflow() -> None:
    legacy = dist("tf-keras", "2.15.1", "tensorflow<2.16,>=2.15")
    one = only_finding(facts(TF_218, *OF_218, legacy), "CE103")
    assert fix_arguments(one) == ("tf-keras==2.18.*",)
    assert diagnose(facts(TF_218, *OF_218, dist("tf-keras", "2.18.0", "tensorflow<2.19,>=2.18"))) == ()


@pytest.mark.parametrize(
    ("more", "environ", "said"),
    [
        (dist("tensorflow-hub", "0.16.1", "tf-keras>=2.14.1"), {}, ""),
        (dist("tensorflow-probability", "0.25.0"), {}, ""),
        (dist("a", "1"), {"TF_USE_LEGACY_KERAS": "1"}, ""),
        (dist("a", "1"), {}, traceback("ModuleNotFoundError: No module named 'tf_keras'", "a/b.py")),
    ],
)
def test_tf_keras_is_missing(more: Distribution, environ: dict[str, str], said: str) -> None:
    known = facts(TF_218, *OF_218, more, environ=environ, error=said, extra_modules=("pkg_resources",))
    one = only_finding(known, "CE104")
    assert fix_arguments(one) == ("tf-keras==2.18.*",)


def test_tf_keras_is_not_missed() -> None:
    assert diagnose(facts(TF_215, *OF_215, environ={"TF_USE_LEGACY_KERAS": "1"})) == ()
    legacy = dist("tf-keras", "2.18.0")
    probability = dist("tensorflow-probability", "0.25.0")
    assert diagnose(facts(TF_218, *OF_218, legacy, probability, environ={"TF_USE_LEGACY_KERAS": "1"})) == ()


# CE105, CE106


def test_numpy_2_under_tensorflow_2_15_and_a_wheel_of_its_time() -> None:
    known = facts(
        TF_215,
        *without("numpy", dist("numpy", "2.0.2"), dist("h5py", "3.10.0", "numpy", extensions=(SOABI,))),
    )
    one = only_finding(known, "CE105")
    assert one.summary == "numpy 2.0.2 is too new for tensorflow 2.15.1, ml-dtypes 0.3.2, h5py 3.10.0."
    assert fix_arguments(one) == ("numpy<2,>=1.23.5",)


def test_numpy_2_under_tensorflow_2_10_whose_metadata_leaves_it_open() -> None:
    one = only_finding(facts(dist("tensorflow", "2.10.1", "numpy>=1.20"), dist("numpy", "2.2.0")), "CE105")
    assert "tensorflow 2.10.1 needs numpy<2: its metadata does not say so" in one.evidence[0]
    assert fix_arguments(one) == ("numpy<2,>=1.20",)


def test_newer_wheels_where_something_needs_numpy_2() -> None:
    old = dist("pandas", "2.0.3", "numpy>=1.20.3", extensions=(SOABI,))
    one = only_finding(facts(old, dist("cv", "5", "numpy>=2"), dist("numpy", "2.2.0")), "CE105")
    assert fix_arguments(one) == ("pandas>=2.2.2",)


def test_numpy_2_by_what_an_exception_says() -> None:
    said = traceback("AttributeError: _ARRAY_API not found", "odd/__init__.py", "numpy/core/a.py")
    one = only_finding(facts(dist("odd", "1"), dist("numpy", "2.0.2"), error=said), "CE105")
    assert one.summary == "numpy 2.0.2 is too new for odd 1."
    assert one.explains == ("import it",)


def test_a_wheel_for_numpy_1_that_is_to_be_replaced_anyway() -> None:
    tensorflow = dist("tensorflow", "2.18.1", "ml-dtypes<0.5.0,>=0.4.0", "numpy<2.1.0,>=1.26.0")
    old = dist("ml-dtypes", "0.3.2", "numpy>1.20", extensions=(SOABI,))
    said = traceback(
        "ImportError: numpy.core.umath failed to import", "tensorflow/a.py", "ml_dtypes/_finfo.py"
    )
    one = only_finding(facts(tensorflow, old, dist("numpy", "2.0.2"), error=said), "CE108")
    assert one.explains == ("import it",)


@pytest.mark.parametrize(
    "distributions",
    [
        (dist("pandas", "2.2.2", "numpy>=1.23", extensions=(SOABI,)), dist("numpy", "2.0.2")),
        (dist("pandas", "2.0.3", "numpy>=1.20.3", extensions=(SOABI,)), dist("numpy", "1.26.4")),
        (dist("tensorflow", "2.10.1", "numpy>=1.20"), dist("numpy", "1.26.4")),
    ],
)
def test_numpy_that_fits(distributions: tuple[Distribution, ...]) -> None:
    assert diagnose(facts(*distributions)) == ()


def test_numpy_too_old() -> None:
    one = only_finding(facts(dist("cv", "5", "numpy>=2"), dist("numpy", "1.26.4")), "CE106")
    assert one.summary == "numpy 1.26.4 is too old for cv 5."
    assert fix_arguments(one) == ("numpy>=2",)


@pytest.mark.parametrize(
    "last",
    [
        "ModuleNotFoundError: No module named 'numpy._core'",
        "RuntimeError: module compiled against ABI version 0x2000000 but this version of numpy is 0x1000009",
    ],
)
def test_numpy_too_old_by_what_an_exception_says(last: str) -> None:
    one = only_finding(facts(dist("numpy", "1.26.4"), error=traceback(last, "a.py")), "CE106")
    assert fix_arguments(one) == ("numpy>=2",)
    held = dist("tensorflow", "2.15.1", "numpy<2.0.0,>=1.23.5")
    one = only_finding(facts(held, dist("numpy", "1.23.5"), error=traceback(last, "a.py")), "CE106")
    assert fix_arguments(one) == ("numpy<2.0.0,>1.23.5",)


# CE107


def test_protobuf_by_metadata() -> None:
    one = only_finding(facts(TF_215, *without("protobuf", dist("protobuf", "6.33.0"))), "CE107")
    assert one.summary == "protobuf 6.33.0 is too new for tensorflow 2.15.1."
    assert fix_arguments(one) == ("protobuf!=4.21.0,<5.0.0dev,>=3.20.3",)


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
    known = facts(dist("odd", "1"), dist("protobuf", version), error=traceback(last, "odd/a_pb2.py"))
    one = only_finding(known, "CE107")
    assert fix_arguments(one) == (expected,)
    assert one.summary.endswith("for odd 1.")
    assert diagnose(facts(dist("odd", "1", "protobuf"), dist("protobuf", version))) == ()


# CE108, CE109


def test_what_tensorflow_needs_is_one_finding() -> None:
    kept = tuple(one for one in OF_215 if one.name not in {"wrapt", "ml-dtypes"})
    one = only_finding(facts(TF_215, *kept, dist("wrapt", "1.10.11")), "CE108")
    assert one.summary == "wrapt 1.10.11 is too old and ml-dtypes is missing for tensorflow 2.15.1."
    assert fix_arguments(one) == ("wrapt<1.15,>=1.11.0", "ml-dtypes~=0.3.1")


def test_a_companion_whose_metadata_tells() -> None:
    text = dist("tensorflow-text", "2.18.1", "tensorflow<2.19,>=2.18.0")
    one = only_finding(facts(TF_215, *OF_215, text), "CE109")
    assert "tensorflow-text 2.18.1 requires tensorflow<2.19,>=2.18.0" in one.evidence
    assert fix_arguments(one) == ("tensorflow-text==2.15.0", "tensorflow==2.15.1")
    assert (
        diagnose(facts(TF_215, *OF_215, dist("tensorflow-text", "2.15.0", "tensorflow<2.16,>=2.15.0"))) == ()
    )


def test_a_companion_whose_metadata_is_silent() -> None:
    one = only_finding(facts(TF_215, *OF_215, dist("tensorflow-probability", "0.25.0")), "CE109")
    assert fix_arguments(one) == ("tensorflow-probability==0.23.0", "tensorflow==2.15.1")
    assert diagnose(facts(TF_215, *OF_215, dist("tensorflow-probability", "0.23.0"))) == ()


def test_a_hub_that_needs_what_tensorflow_2_16_took_away() -> None:
    one = only_finding(facts(TF_218, *OF_218, dist("tensorflow-hub", "0.12.0")), "CE109")
    assert fix_arguments(one) == ("tensorflow-hub==0.16.1", "tensorflow==2.18.1")
    assert diagnose(facts(TF_215, *OF_215, dist("tensorflow-hub", "0.12.0"))) == ()


def test_something_unknown_that_goes_with_another_tensorflow() -> None:
    one = only_finding(facts(TF_215, *OF_215, dist("odd-models", "2.18.0", "tensorflow~=2.18.0")), "CE109")
    assert fix_arguments(one) == ("odd-models", "tensorflow==2.15.1")


def test_tensorflow_cpu_does_for_tensorflow() -> None:
    cpu = dist("tensorflow-cpu", "2.15.1")
    assert diagnose(facts(cpu, dist("tensorflow-text", "2.15.0", "tensorflow<2.16,>=2.15.0"))) == ()


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
        assert finding.summary.endswith(".")
        assert finding.evidence
        assert finding.explanation.endswith(".")
        assert finding.fixes
