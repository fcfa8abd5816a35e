"""Checks of code for older releases."""

from __future__ import annotations

import dataclasses

from colabenv.doctor.checks import diagnose
from colabenv.doctor.model import (
    Distribution,
    ErrorReport,
    Facts,
    Finding,
    Fix,
    InstallRequest,
    ModuleLocation,
)
from colabenv.doctor.tracebacks import read_tracebacks
from colabenv.importers.name_usages import NameUsage


def make_facts(**versions: str) -> Facts:
    """Return the facts of an interpreter with these distributions, all complete and compatible."""
    names = {name.replace("_", "-"): version for name, version in versions.items()}
    return Facts(
        "this Python",
        distributions=tuple(
            Distribution(
                name, version, info=f"/site/{name}-{version}.dist-info", modules=(name.replace("-", "_"),)
            )
            for name, version in names.items()
        ),
        modules={
            name.replace("-", "_"): (ModuleLocation("package", f"/site/{name}/__init__.py", "/site"),)
            for name in names
        },
    )


TF_218 = make_facts(tensorflow="2.18.1", keras="3.8.0", numpy="2.0.2")
TF_215 = make_facts(tensorflow="2.15.1", keras="2.15.0", numpy="1.26.4")
TF_28 = make_facts(tensorflow="2.8.0", keras="2.8.0", numpy="1.22.0")


def with_error(
    facts: Facts, line: str, error: str, *, is_local: bool = True, file: str = "/content/a.py"
) -> Facts:
    """Return the facts with the error of a line of code."""
    text = f'Traceback (most recent call last):\n  File "{file}", line 1, in <module>\n    {line}\n{error}'
    errors = tuple(read_tracebacks(text, "cell 1", statement=line, is_local=is_local))
    assert len(errors) == 1
    return dataclasses.replace(facts, errors=errors)


def with_usages(facts: Facts, *names_and_lines: tuple[str, str]) -> Facts:
    """Return the facts with code that uses these names in these lines."""
    usages = tuple(
        NameUsage(name, f"cell {number}", line)
        for number, (name, line) in enumerate(names_and_lines, start=1)
    )
    return dataclasses.replace(facts, usages=usages)


def only_finding(facts: Facts) -> Finding:
    findings = diagnose(facts)
    assert len(findings) == 1, [f"{finding.code} {finding.summary}" for finding in findings]
    return findings[0]


def codes(facts: Facts) -> list[str]:
    return [finding.code for finding in diagnose(facts)]


def test_moved_names_are_edited() -> None:
    for facts, line, error, edited in (
        (
            TF_218,
            "from keras.utils import np_utils",
            "ImportError: cannot import name 'np_utils' from 'keras.utils' (/x/keras/utils/__init__.py)",
            "from keras import utils as np_utils",
        ),
        (
            TF_215,
            "from keras.utils.np_utils import to_categorical",
            "ModuleNotFoundError: No module named 'keras.utils.np_utils'",
            "from keras.utils import to_categorical",
        ),
        (
            TF_218,
            "from tensorflow.keras.utils import np_utils",
            "ImportError: cannot import name 'np_utils' from 'keras._tf_keras.keras.utils' (/x)",
            "from tensorflow.keras import utils as np_utils",
        ),
        (
            TF_218,
            "from keras.engine.topology import Layer",
            "ModuleNotFoundError: No module named 'keras.engine'",
            "from keras.layers import Layer",
        ),
        (
            TF_218,
            "from keras.preprocessing.image import ImageDataGenerator, load_img",
            "ImportError: cannot import name 'ImageDataGenerator' from 'keras.preprocessing.image' (/x)",
            "from tensorflow.keras.preprocessing.image import ImageDataGenerator; "
            "from keras.preprocessing.image import load_img",
        ),
        (
            TF_218,
            "y = K.sum(x)",
            "AttributeError: module 'keras.backend' has no attribute 'sum'",
            "from tensorflow.keras import backend as K",
        ),
        (
            TF_218,
            "s = tf.Session()",
            "AttributeError: module 'tensorflow' has no attribute 'Session'",
            "s = tf.compat.v1.Session()",
        ),
        (
            TF_218,
            "x = np.float(1)",
            "AttributeError: module 'numpy' has no attribute 'float'.\n`np.float` was a deprecated alias",
            "x = float(1)",
        ),
        (
            TF_218,
            "x = np.NaN",
            "AttributeError: `np.NaN` was removed in the NumPy 2.0 release. Use `np.nan` instead.",
            "x = np.nan",
        ),
        (
            TF_218,
            "from keras_applications.resnet import ResNet50",
            "ModuleNotFoundError: No module named 'keras_applications'",
            "from keras.applications.resnet import ResNet50",
        ),
        (
            TF_218,
            "model = Sequential([Dense(1)])",
            "ValueError: Only instances of `keras.Layer` can be added to a Sequential model. Received: "
            "<tensorflow.python.keras.layers.core.Dense object at 0x1>",
            "tensorflow.keras",
        ),
        (
            TF_28,
            "from keras.utils import to_categorical",
            "ImportError: cannot import name 'to_categorical' from 'keras.utils' (/x)",
            "from tensorflow.keras.utils import to_categorical",
        ),
    ):
        finding = only_finding(with_error(facts, line, error))
        assert finding.code == "CE401", line
        assert [fix.arguments[1] for fix in finding.fixes if fix.action == "edit"] == [edited]
        assert any(error.splitlines()[0][:60] in evidence for evidence in finding.evidence), line
        assert finding.explains == ("cell 1",), line


def test_errors_with_another_cause_are_unexplained() -> None:
    for line, error in (
        ("import keras.layers", "ModuleNotFoundError: No module named 'keras.layers'"),
        (
            "from keras.utils import np_utils",
            "ModuleNotFoundError: No module named 'keras.utils'; 'keras' is not a package",
        ),
        ("import my_thing", "ModuleNotFoundError: No module named 'my_thing'"),
        ("tf.__version__", "AttributeError: module 'tensorflow' has no attribute '__version__'"),
        (
            "from tensorflow import keras",
            "ImportError: cannot import name 'keras' from 'tensorflow' (unknown location)",
        ),
        # Similar to renamed calls.
        ("d['acc']['x']; e['loss']", "KeyError: 'loss'"),
        ("f(x)", "KeyError: 'acc'"),
        ("thing.fit_generators()", "AttributeError: 'Thing' object has no attribute 'fit_generators'"),
    ):
        assert codes(with_error(TF_218, line, error)) == ["CE901"], line


def test_existing_name_is_not_reported() -> None:
    line = "from keras.layers.recurrent import LSTM"
    error = "ModuleNotFoundError: No module named 'keras.layers.recurrent'"
    assert codes(with_error(TF_28, line, error)) == ["CE901"]
    assert not diagnose(with_usages(TF_28, ("keras.layers.recurrent.LSTM", line)))


def test_name_of_a_missing_package_is_unexplained() -> None:
    error = "AttributeError: module 'tensorflow' has no attribute 'Session'"
    assert codes(with_error(Facts("x"), "s = tf.Session()", error)) == ["CE901"]


def test_code_is_checked_against_installed_versions() -> None:
    usages = [
        ("keras.layers.core.Dense", "from keras.layers.core import Dense, Dropout"),
        ("keras.layers.core.Dropout", "from keras.layers.core import Dense, Dropout"),
        ("tensorflow.Session", "s = tf.Session()"),
        ("tensorflow.placeholder", "x = tf.placeholder('float')"),
    ]
    first, second = diagnose(with_usages(TF_215, *usages))
    assert first.fixes == (
        Fix(
            "edit",
            ("from keras.layers.core import Dense, Dropout", "from keras.layers import Dense, Dropout"),
        ),
    )
    assert [fix.arguments[1] for fix in second.fixes] == [
        "s = tf.compat.v1.Session()",
        "x = tf.compat.v1.placeholder('float')",
    ]
    assert "cell 1: from keras.layers.core import Dense, Dropout" in first.evidence


def test_current_code_has_no_finding() -> None:
    usages = [
        ("keras.utils.to_categorical", "from keras.utils import to_categorical"),
        ("tensorflow.keras.preprocessing.image.ImageDataGenerator", "…"),
        ("tensorflow.compat.v1.Session", "…"),
        ("tensorflow.keras.backend.sum", "…"),
        ("numpy.float64", "…"),
        ("keras.optimizers.Adam(learning_rate=)", "…"),
        (".predict", "…"),
    ]
    assert not diagnose(with_usages(TF_218, *usages))


def test_fix_of_a_removed_name_is_an_environment() -> None:
    facts = with_usages(TF_218, ("tensorflow.estimator.DNNClassifier", "c = tf.estimator.DNNClassifier()"))
    finding = only_finding(facts)
    assert (finding.code, finding.fixes) == ("CE402", (Fix("up", ("builtin:tf-2.15",)),))
    assert not diagnose(dataclasses.replace(facts, distributions=TF_215.distributions))
    notebook = dataclasses.replace(facts, notebook="old.ipynb")
    assert only_finding(notebook).fixes == (Fix("init", ("old.ipynb",)),)


def test_name_of_tensorflow_1_has_no_fix() -> None:
    error = "ModuleNotFoundError: No module named 'tensorflow.contrib'"
    finding = only_finding(with_error(TF_218, "from tensorflow.contrib import rnn", error))
    assert (finding.code, finding.fixes) == ("CE402", ())
    assert "Python 3.7" in finding.explanation


def test_tf_layers_has_a_replacement_only_with_keras_2() -> None:
    usage = ("tensorflow.layers.dense", "y = tf.layers.dense(x, 3)")
    assert only_finding(with_usages(TF_215, usage)).code == "CE401"
    assert only_finding(with_usages(TF_218, usage)).code == "CE402"


def test_code_is_checked_against_tf_keras_if_it_is_selected() -> None:
    name = "tensorflow.keras.layers.experimental.preprocessing.Rescaling"
    facts = with_usages(make_facts(tensorflow="2.18.1", keras="3.8.0", tf_keras="2.18.0"), (name, "…"))
    assert only_finding(facts).code == "CE401"
    assert not diagnose(dataclasses.replace(facts, environ={"TF_USE_LEGACY_KERAS": "1"}))


def test_renamed_calls_are_edited() -> None:
    for line, error, edited in (
        (
            "y = model.predict_classes(x[:3])",
            "AttributeError: 'Sequential' object has no attribute 'predict_classes'",
            "y = model.predict(x[:3]).argmax(axis=-1)",
        ),
        (
            "model.fit_generator(g, epochs=2)",
            "AttributeError: 'Functional' object has no attribute 'fit_generator'",
            "model.fit(g, epochs=2)",
        ),
        (
            "o = Adam(lr=0.1)",
            "ValueError: Argument(s) not recognized: {'lr': 0.1}",
            "o = Adam(learning_rate=0.1)",
        ),
        ("plt.plot(h.history['val_acc'])", "KeyError: 'val_acc'", "plt.plot(h.history['val_accuracy'])"),
        (
            "model.save_weights('w.h5')",
            "ValueError: The filename must end in `.weights.h5`. Received: filepath=w.h5",
            "model.save_weights('w.weights.h5')",
        ),
        (
            "c = ModelCheckpoint('b.hdf5')",
            "ValueError: The filepath provided must end in `.keras` (Keras model format). Received: filepath=b.hdf5",
            "c = ModelCheckpoint('b.keras')",
        ),
        (
            "Dense(3, init='uniform')",
            "ValueError: Unrecognized keyword arguments passed to Dense: {'init': 'uniform'}",
            "Dense(3, kernel_initializer='uniform')",
        ),
    ):
        finding = only_finding(with_error(TF_218, line, error))
        assert finding.code == "CE403", line
        assert finding.fixes == (Fix("edit", (line, edited)),)


def test_renamed_calls_are_reported_in_code_for_keras() -> None:
    usages = [
        ("keras.models.Sequential", "from keras.models import Sequential"),
        (".fit_generator", "model.fit_generator(g)"),
        ("keras.optimizers.Adam(lr=)", "Adam(lr=1)"),
        ("tensorflow.keras.optimizers.legacy.Adam", "tf.keras.optimizers.legacy.Adam()"),
    ]
    assert codes(with_usages(TF_218, *usages)) == ["CE403"] * 3
    assert not diagnose(with_usages(TF_215, *usages))
    # Without the import of Keras, the model may be another library's.
    assert not diagnose(with_usages(TF_218, *usages[1:2]))


def test_library_for_older_releases_gets_an_environment() -> None:
    facts = with_error(
        make_facts(tensorflow="2.18.1", keras="3.8.0", efficientnet="1.0.0"),
        "import efficientnet",
        "AttributeError: module 'keras.utils' has no attribute 'generic_utils'",
        file="/usr/lib/python3/dist-packages/efficientnet/__init__.py",
    )
    finding = only_finding(facts)
    assert finding.code == "CE404"
    assert "efficientnet 1.0.0" in finding.summary
    assert finding.fixes[0].arguments[0] == "tf-2.12.yaml"


def test_notebook_is_checked_against_its_pins() -> None:
    usage = ("keras.utils.np_utils", "from keras.utils import np_utils")
    notebook = dataclasses.replace(with_usages(TF_218, usage), notebook="old.ipynb")
    request = InstallRequest("tensorflow==2.8.0", "cell 1", "!pip …")
    pinned = dataclasses.replace(notebook, install_requests=(request,), python=(3, 10, 12))
    assert only_finding(notebook).code == "CE401"
    assert not diagnose(pinned)
    # TensorFlow 2.8 cannot be installed with Python 3.12, so the pin has no effect.
    assert codes(dataclasses.replace(pinned, python=(3, 12, 1))) == ["CE401", "CE412"]


def test_error_from_another_machine_ignores_installed_versions() -> None:
    error = "ModuleNotFoundError: No module named 'keras.layers.recurrent'"
    line = "from keras.layers.recurrent import LSTM"
    facts = dataclasses.replace(TF_28, notebook="old.ipynb", distributions=())
    finding = only_finding(with_error(facts, line, error, is_local=False))
    assert finding.code == "CE401"
    assert "2.8" not in finding.summary
    assert finding.fixes == (Fix("edit", (line, "from keras.layers import LSTM")),)


def test_error_without_a_statement_is_explained() -> None:
    error = ErrorReport("it", "", "ModuleNotFoundError", "No module named 'keras.engine'", is_local=False)
    finding = only_finding(Facts("it", notebook="old.ipynb", errors=(error,)))
    assert finding.code == "CE401"
