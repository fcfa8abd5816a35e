"""Checks of versions."""

from __future__ import annotations

from packaging.specifiers import SpecifierSet

from colabenv.doctor.checks import diagnose
from colabenv.doctor.model import Distribution, Fix
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
REQUIREMENTS_OF_215 = (
    dist("keras", "2.15.0"),
    dist("numpy", "1.26.4"),
    dist("protobuf", "4.25.8"),
    dist("wrapt", "1.14.1"),
    dist("ml-dtypes", "0.3.2", "numpy>1.20", extensions=(SOABI,)),
)
TF_218 = dist("tensorflow", "2.18.1", "keras>=3.5.0", "numpy<2.1.0,>=1.26.0")
REQUIREMENTS_OF_218 = (dist("keras", "3.8.0"), dist("numpy", "2.0.2"))


def without(name: str, *others: Distribution) -> tuple[Distribution, ...]:
    """Return what TensorFlow 2.15 requires without one distribution, and other distributions."""
    return (*(distribution for distribution in REQUIREMENTS_OF_215 if distribution.name != name), *others)


def test_consistent_environments_have_no_finding() -> None:
    assert diagnose(facts(TF_215, *REQUIREMENTS_OF_215)) == ()
    assert diagnose(facts(TF_218, *REQUIREMENTS_OF_218)) == ()


# CE101


def test_unmet_requirement_is_reported() -> None:
    finding = only_finding(facts(dist("a", "1", "b>=2,<3"), dist("b", "1.9")), "CE101")
    assert finding.summary == "b 1.9 is too old for a 1."
    assert "a 1 requires b>=2,<3" in finding.evidence
    assert fix_arguments(finding) == ("b<3,>=2",)


def test_missing_requirement_is_reported() -> None:
    finding = only_finding(facts(dist("a", "1", "b>=2")), "CE101")
    assert finding.summary == "b is not installed, but required by a 1."


def test_met_and_irrelevant_requirements_are_not_reported() -> None:
    for distributions in (
        (dist("a", "1", "b>=2; python_version < '3.8'"),),
        (dist("a", "1", "b>=2; extra == 'more'"),),
        (dist("a", "1", "opencv-python>=4"), dist("opencv-python-headless", "4.10")),
        (dist("ipython", "7.34.0", "jedi>=0.16"),),  # as Colab ships it
        (dist("pygobject", "3.42.2", "pycairo>=1.16", root="/usr/lib/python3/dist-packages"),),  # Debian's
        (dist("a", "1", "b>=2"), dist("b", "2.1rc1+local")),
    ):
        assert diagnose(facts(*distributions)) == (), distributions[0].requires


def test_framework_is_kept_and_its_dependent_changed() -> None:
    finding = only_finding(
        facts(dist("torchvision", "0.20.0", "torch==2.5.0"), dist("torch", "2.6.0")), "CE101"
    )
    assert fix_arguments(finding) == ("torchvision", "torch==2.6.0")


def test_contradicting_requirements_change_the_other_package() -> None:
    known = facts(TF_215, *without("numpy"), dist("numpy", "2.2.0"), dist("cv", "5", "numpy>=2"))
    assert requirements_for(known, "numpy") == ("numpy<2.0.0,>=1.23.5", "cv")


def test_old_typing_extensions_is_upgraded() -> None:
    error = traceback(
        "ImportError: cannot import name 'Self' from 'typing_extensions' (/a.py)", "odd/__init__.py"
    )
    old = dist("typing-extensions", "3.7.4.3")
    assert fix_arguments(only_finding(facts(old, error=error), "CE113")) == ("typing-extensions>3.7.4.3",)
    declared = only_finding(facts(old, dist("odd", "1", "typing-extensions>=4"), error=error), "CE101")
    assert declared.explains == ("import it",)
    assert diagnose(facts(old)) == ()


def test_unmet_requirement_explains_an_error_that_names_the_package() -> None:
    error = traceback("ImportError: To use Keras, you need to have `optree` installed.", "keras/a.py")
    optree = dist("optree", "0.20.0", "typing-extensions>=4.10.0")
    finding = only_finding(facts(optree, dist("typing-extensions", "3.7.4.3"), error=error), "CE101")
    assert finding.explains == ("import it",)


def test_is_satisfiable() -> None:
    expected = {
        "": True,
        ">=1,<2": True,
        ">=2,<2": False,
        ">=2,<1.5": False,
        "~=0.3.1,<0.4": True,
        "~=0.3.1,>=0.4": False,
        "==1.2.3,!=1.2.3": False,
        ">1.2,<1.2.5": True,
        "==2.15.*,>=2.15.1": True,
    }
    assert {text: is_satisfiable(SpecifierSet(text)) for text in expected} == expected


def test_simplify() -> None:
    for text, expected in (
        (">1.20,>=1.23.5,<2.0.0,<2", ">=1.23.5,<2"),
        ("<=2,<2,!=1.5", "<2,!=1.5"),
        ("~=0.3.1,>=0.2", "~=0.3.1,>=0.2"),
        ("", ""),
    ):
        assert simplify(SpecifierSet(text)) == SpecifierSet(expected), text


# CE102, CE103, CE104


def test_keras_3_is_too_new_for_tensorflow_2_15() -> None:
    error = traceback(
        "ImportError: cannot import name 'x' from 'keras'", "tensorflow/__init__.py", "keras/a.py"
    )
    finding = only_finding(facts(TF_215, *without("keras", dist("keras", "3.5.0")), error=error), "CE102")
    assert finding.summary == "keras 3.5.0 is too new for tensorflow 2.15.1."
    assert "tensorflow 2.15.1 requires keras<2.16,>=2.15.0" in finding.evidence
    assert finding.explains == ("import it",)
    assert fix_arguments(finding) == ("keras<2.16,>=2.15.0",)


def test_keras_2_is_too_old_for_tensorflow_2_18() -> None:
    finding = only_finding(facts(TF_218, dist("keras", "2.15.0"), dist("numpy", "2.0.2")), "CE102")
    assert finding.summary == "keras 2.15.0 is too old for tensorflow 2.18.1."


def test_undeclared_limit_of_keras_is_applied() -> None:
    tensorflow = dist("tensorflow", "2.6.5", "keras>=2.6.0rc0")
    finding = only_finding(facts(tensorflow, dist("keras", "2.8.0")), "CE102")
    assert any("keras<2.7" in line for line in finding.evidence)
    assert fix_arguments(finding) == ("keras<2.7,>=2.6.0rc0",)


def test_tf_keras_must_match_tensorflow() -> None:
    legacy = dist("tf-keras", "2.15.1", "tensorflow<2.16,>=2.15")
    finding = only_finding(facts(TF_218, *REQUIREMENTS_OF_218, legacy), "CE103")
    assert fix_arguments(finding) == ("tf-keras==2.18.*",)
    assert (
        diagnose(facts(TF_218, *REQUIREMENTS_OF_218, dist("tf-keras", "2.18.0", "tensorflow<2.19,>=2.18")))
        == ()
    )


def test_missing_tf_keras_is_installed() -> None:
    error = traceback("ModuleNotFoundError: No module named 'tf_keras'", "a/b.py")
    for known in (
        facts(
            TF_218,
            *REQUIREMENTS_OF_218,
            dist("tensorflow-hub", "0.16.1", "tf-keras>=2.14.1"),
            extra_modules=("pkg_resources",),
        ),
        facts(TF_218, *REQUIREMENTS_OF_218, dist("tensorflow-probability", "0.25.0")),
        facts(TF_218, *REQUIREMENTS_OF_218, environ={"TF_USE_LEGACY_KERAS": "1"}),
        facts(TF_218, *REQUIREMENTS_OF_218, dist("a", "1"), error=error),
    ):
        assert fix_arguments(only_finding(known, "CE104")) == ("tf-keras==2.18.*",)


def test_tf_keras_is_not_always_needed() -> None:
    assert diagnose(facts(TF_215, *REQUIREMENTS_OF_215, environ={"TF_USE_LEGACY_KERAS": "1"})) == ()
    legacy = dist("tf-keras", "2.18.0")
    probability = dist("tensorflow-probability", "0.25.0")
    assert (
        diagnose(
            facts(TF_218, *REQUIREMENTS_OF_218, legacy, probability, environ={"TF_USE_LEGACY_KERAS": "1"})
        )
        == ()
    )


# CE105, CE106


def test_numpy_2_is_too_new_for_tensorflow_2_15_and_old_wheels() -> None:
    known = facts(
        TF_215,
        *without("numpy", dist("numpy", "2.0.2"), dist("h5py", "3.10.0", "numpy", extensions=(SOABI,))),
    )
    finding = only_finding(known, "CE105")
    assert finding.summary == "numpy 2.0.2 is too new for tensorflow 2.15.1, ml-dtypes 0.3.2, h5py 3.10.0."
    assert fix_arguments(finding) == ("numpy<2,>=1.23.5",)


def test_undeclared_limit_of_numpy_is_applied() -> None:
    finding = only_finding(
        facts(dist("tensorflow", "2.10.1", "numpy>=1.20"), dist("numpy", "2.2.0")), "CE105"
    )
    assert "tensorflow 2.10.1 needs numpy<2: its metadata does not say so" in finding.evidence[0]
    assert fix_arguments(finding) == ("numpy<2,>=1.20",)


def test_old_wheels_are_upgraded_if_numpy_2_is_required() -> None:
    old = dist("pandas", "2.0.3", "numpy>=1.20.3", extensions=(SOABI,))
    finding = only_finding(facts(old, dist("cv", "5", "numpy>=2"), dist("numpy", "2.2.0")), "CE105")
    assert fix_arguments(finding) == ("pandas>=2.2.2",)


def test_error_of_a_wheel_for_numpy_1_is_explained() -> None:
    error = traceback("AttributeError: _ARRAY_API not found", "odd/__init__.py", "numpy/core/a.py")
    finding = only_finding(facts(dist("odd", "1"), dist("numpy", "2.0.2"), error=error), "CE105")
    assert finding.summary == "numpy 2.0.2 is too new for odd 1."
    assert finding.explains == ("import it",)


def test_old_wheel_that_is_replaced_anyway_is_reported_once() -> None:
    tensorflow = dist("tensorflow", "2.18.1", "ml-dtypes<0.5.0,>=0.4.0", "numpy<2.1.0,>=1.26.0")
    old = dist("ml-dtypes", "0.3.2", "numpy>1.20", extensions=(SOABI,))
    error = traceback(
        "ImportError: numpy.core.umath failed to import", "tensorflow/a.py", "ml_dtypes/_finfo.py"
    )
    finding = only_finding(facts(tensorflow, old, dist("numpy", "2.0.2"), error=error), "CE108")
    assert finding.explains == ("import it",)


def test_compatible_numpy_is_not_reported() -> None:
    for distributions in (
        (dist("pandas", "2.2.2", "numpy>=1.23", extensions=(SOABI,)), dist("numpy", "2.0.2")),
        (dist("pandas", "2.0.3", "numpy>=1.20.3", extensions=(SOABI,)), dist("numpy", "1.26.4")),
        (dist("tensorflow", "2.10.1", "numpy>=1.20"), dist("numpy", "1.26.4")),
    ):
        assert diagnose(facts(*distributions)) == (), [str(distribution) for distribution in distributions]


def test_old_numpy_is_upgraded() -> None:
    finding = only_finding(facts(dist("cv", "5", "numpy>=2"), dist("numpy", "1.26.4")), "CE106")
    assert finding.summary == "numpy 1.26.4 is too old for cv 5."
    assert fix_arguments(finding) == ("numpy>=2",)


def test_error_of_an_old_numpy_is_explained() -> None:
    tensorflow = dist("tensorflow", "2.15.1", "numpy<2.0.0,>=1.23.5")
    for message in (
        "ModuleNotFoundError: No module named 'numpy._core'",
        "RuntimeError: module compiled against ABI version 0x2000000 but this version of numpy is 0x1000009",
    ):
        error = traceback(message, "a.py")
        finding = only_finding(facts(dist("numpy", "1.26.4"), error=error), "CE106")
        assert fix_arguments(finding) == ("numpy>=2",), message
        finding = only_finding(facts(tensorflow, dist("numpy", "1.23.5"), error=error), "CE106")
        assert fix_arguments(finding) == ("numpy<2.0.0,>1.23.5",), message


# CE107


def test_protobuf_outside_the_declared_range_is_reported() -> None:
    finding = only_finding(facts(TF_215, *without("protobuf", dist("protobuf", "6.33.0"))), "CE107")
    assert finding.summary == "protobuf 6.33.0 is too new for tensorflow 2.15.1."
    assert fix_arguments(finding) == ("protobuf!=4.21.0,<5.0.0dev,>=3.20.3",)


def test_protobuf_errors_are_explained() -> None:
    for version, message, expected in (
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
    ):
        error = traceback(message, "odd/a_pb2.py")
        finding = only_finding(facts(dist("odd", "1"), dist("protobuf", version), error=error), "CE107")
        assert fix_arguments(finding) == (expected,), message
        assert finding.summary.endswith("for odd 1."), message
        assert diagnose(facts(dist("odd", "1", "protobuf"), dist("protobuf", version))) == (), version


# CE108, CE109


def test_unmet_requirements_of_tensorflow_are_one_finding() -> None:
    kept = tuple(
        requirement for requirement in REQUIREMENTS_OF_215 if requirement.name not in {"wrapt", "ml-dtypes"}
    )
    finding = only_finding(facts(TF_215, *kept, dist("wrapt", "1.10.11")), "CE108")
    assert finding.summary == "wrapt 1.10.11 is too old and ml-dtypes is missing for tensorflow 2.15.1."
    assert fix_arguments(finding) == ("wrapt<1.15,>=1.11.0", "ml-dtypes~=0.3.1")


def test_companion_must_match_its_declared_tensorflow() -> None:
    text = dist("tensorflow-text", "2.18.1", "tensorflow<2.19,>=2.18.0")
    finding = only_finding(facts(TF_215, *REQUIREMENTS_OF_215, text), "CE109")
    assert "tensorflow-text 2.18.1 requires tensorflow<2.19,>=2.18.0" in finding.evidence
    assert fix_arguments(finding) == ("tensorflow-text==2.15.0", "tensorflow==2.15.1")
    assert (
        diagnose(
            facts(TF_215, *REQUIREMENTS_OF_215, dist("tensorflow-text", "2.15.0", "tensorflow<2.16,>=2.15.0"))
        )
        == ()
    )


def test_companion_that_declares_no_tensorflow_must_match_its_release() -> None:
    finding = only_finding(
        facts(TF_215, *REQUIREMENTS_OF_215, dist("tensorflow-probability", "0.25.0")), "CE109"
    )
    assert fix_arguments(finding) == ("tensorflow-probability==0.23.0", "tensorflow==2.15.1")
    assert diagnose(facts(TF_215, *REQUIREMENTS_OF_215, dist("tensorflow-probability", "0.23.0"))) == ()


def test_hub_is_too_old_for_tensorflow_2_18() -> None:
    finding = only_finding(facts(TF_218, *REQUIREMENTS_OF_218, dist("tensorflow-hub", "0.12.0")), "CE109")
    assert fix_arguments(finding) == ("tensorflow-hub==0.16.1", "tensorflow==2.18.1")
    assert diagnose(facts(TF_215, *REQUIREMENTS_OF_215, dist("tensorflow-hub", "0.12.0"))) == ()


def test_other_package_must_match_its_declared_tensorflow() -> None:
    finding = only_finding(
        facts(TF_215, *REQUIREMENTS_OF_215, dist("odd-models", "2.18.0", "tensorflow~=2.18.0")), "CE109"
    )
    assert fix_arguments(finding) == ("odd-models", "tensorflow==2.15.1")


def test_tensorflow_cpu_satisfies_tensorflow() -> None:
    cpu = dist("tensorflow-cpu", "2.15.1")
    assert diagnose(facts(cpu, dist("tensorflow-text", "2.15.0", "tensorflow<2.16,>=2.15.0"))) == ()


# CE114

NO_TENSORFLOW = traceback(
    "ModuleNotFoundError: No module named 'tensorflow'", "keras/__init__.py", "keras/src/tree/optree_impl.py"
)
KERAS_3 = dist("keras", "3.15.1")


def test_installed_backend_is_selected() -> None:
    finding = only_finding(facts(KERAS_3, dist("jax", "0.12.0"), error=NO_TENSORFLOW), "CE114")
    assert finding.summary == "Keras 3.15.1 uses tensorflow, which is not installed (installed: jax)."
    assert finding.fixes == (Fix("set", ("KERAS_BACKEND", "jax")),)
    assert finding.explains == ("import it",)


def test_tensorflow_is_installed_if_no_backend_is() -> None:
    finding = only_finding(facts(KERAS_3, error=NO_TENSORFLOW), "CE114")
    assert finding.fixes == (Fix("install", ("tensorflow",)),)


def test_missing_module_outside_keras_is_not_reported_as_missing_backend() -> None:
    error = traceback("ModuleNotFoundError: No module named 'tensorflow'", "odd/__init__.py")
    for known in (
        facts(KERAS_3, dist("jax", "0.12.0"), error=error),
        facts(dist("keras", "2.15.0"), error=NO_TENSORFLOW),
    ):
        assert "CE114" not in [finding.code for finding in diagnose(known)]
    assert diagnose(facts(KERAS_3, dist("jax", "0.12.0"))) == ()


# All of them


def test_findings_are_complete() -> None:
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
