"""Checks of code for older releases."""

from __future__ import annotations

import dataclasses

import pytest

from colabenv.doctor.checks import diagnose
from colabenv.doctor.model import (
    Distribution,
    ErrorReport,
    Facts,
    Finding,
    Fix,
    InstallRequest,
    ModuleLocation,
    NameUsage,
)
from colabenv.doctor.tracebacks import read_tracebacks


def having(**versions: str) -> Facts:
    """An interpreter with these distributions, whole and fitting."""
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


TODAY = having(tensorflow="2.18.1", keras="3.8.0", numpy="2.0.2")
OLDER = having(tensorflow="2.15.1", keras="2.15.0", numpy="1.26.4")
OLD = having(tensorflow="2.8.0", keras="2.8.0", numpy="1.22.0")


def failing(
    facts: Facts, line: str, error: str, *, is_local: bool = True, file: str = "/content/a.py"
) -> Facts:
    """The same, where a line of code failed."""
    text = f'Traceback (most recent call last):\n  File "{file}", line 1, in <module>\n    {line}\n{error}'
    findings = tuple(read_tracebacks(text, "cell 1", statement=line, is_local=is_local))
    assert len(findings) == 1
    return dataclasses.replace(facts, errors=findings)


def using(facts: Facts, *used: tuple[str, str]) -> Facts:
    """The same, asked about code with these names and lines."""
    usages = tuple(
        NameUsage(name, f"cell {number}", line) for number, (name, line) in enumerate(used, start=1)
    )
    return dataclasses.replace(facts, usages=usages)


def only(facts: Facts) -> Finding:
    (finding,) = diagnose(facts)
    return finding


@pytest.mark.parametrize(
    ("facts", "line", "error", "edited"),
    [
        (
            TODAY,
            "from keras.utils import np_utils",
            "ImportError: cannot import name 'np_utils' from 'keras.utils' (/x/keras/utils/__init__.py)",
            "from keras import utils as np_utils",
        ),
        (
            OLDER,
            "from keras.utils.np_utils import to_categorical",
            "ModuleNotFoundError: No module named 'keras.utils.np_utils'",
            "from keras.utils import to_categorical",
        ),
        (
            TODAY,
            "from tensorflow.keras.utils import np_utils",
            "ImportError: cannot import name 'np_utils' from 'keras._tf_keras.keras.utils' (/x)",
            "from tensorflow.keras import utils as np_utils",
        ),
        (
            TODAY,
            "from keras.engine.topology import Layer",
            "ModuleNotFoundError: No module named 'keras.engine'",
            "from keras.layers import Layer",
        ),
        (
            TODAY,
            "from keras.preprocessing.image import ImageDataGenerator, load_img",
            "ImportError: cannot import name 'ImageDataGenerator' from 'keras.preprocessing.image' (/x)",
            "from tensorflow.keras.preprocessing.image import ImageDataGenerator; "
            "from keras.preprocessing.image import load_img",
        ),
        (
            TODAY,
            "y = K.sum(x)",
            "AttributeError: module 'keras.backend' has no attribute 'sum'",
            "from tensorflow.keras import backend as K",
        ),
        (
            TODAY,
            "s = tf.Session()",
            "AttributeError: module 'tensorflow' has no attribute 'Session'",
            "s = tf.compat.v1.Session()",
        ),
        (
            TODAY,
            "x = np.float(1)",
            "AttributeError: module 'numpy' has no attribute 'float'.\n`np.float` was a deprecated alias",
            "x = float(1)",
        ),
        (
            TODAY,
            "x = np.NaN",
            "AttributeError: `np.NaN` was removed in the NumPy 2.0 release. Use `np.nan` instead.",
            "x = np.nan",
        ),
        (
            TODAY,
            "from keras_applications.resnet import ResNet50",
            "ModuleNotFoundError: No module named 'keras_applications'",
            "from keras.applications.resnet import ResNet50",
        ),
        (
            TODAY,
            "model = Sequential([Dense(1)])",
            "ValueError: Only instances of `keras.Layer` can be added to a Sequential model. Received: "
            "<tensorflow.python.keras.layers.core.Dense object at 0x1>",
            "tensorflow.keras",
        ),
        (
            OLD,
            "from keras.utils import to_categorical",
            "ImportError: cannot import name 'to_categorical' from 'keras.utils' (/x)",
            "from tensorflow.keras.utils import to_categorical",
        ),
    ],
)
def test_moved_names(facts: Facts, line: str, error: str, edited: str) -> None:
    finding = only(failing(facts, line, error))
    assert finding.code == "CE401"
    assert [step.arguments[1] for step in finding.fixes if step.action == "edit"] == [edited]
    assert any(error.splitlines()[0][:60] in finding for finding in finding.evidence)
    assert finding.explains == ("cell 1",)


@pytest.mark.parametrize(
    ("line", "error"),
    [
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
    ],
)
def test_other_errors_are_unexplained(line: str, error: str) -> None:
    assert [finding.code for finding in diagnose(failing(TODAY, line, error))] == ["CE901"]


def test_existing_name_is_not_reported() -> None:
    line = "from keras.layers.recurrent import LSTM"
    broken = failing(OLD, line, "ModuleNotFoundError: No module named 'keras.layers.recurrent'")
    assert [finding.code for finding in diagnose(broken)] == ["CE901"]
    assert not diagnose(using(OLD, ("keras.layers.recurrent.LSTM", line)))


def test_name_of_a_package_that_is_not_installed() -> None:
    finding = failing(
        Facts("x"), "s = tf.Session()", "AttributeError: module 'tensorflow' has no attribute 'Session'"
    )
    assert [finding.code for finding in diagnose(finding)] == ["CE901"]


def test_code_is_checked_against_installed_versions() -> None:
    used = [
        ("keras.layers.core.Dense", "from keras.layers.core import Dense, Dropout"),
        ("keras.layers.core.Dropout", "from keras.layers.core import Dense, Dropout"),
        ("tensorflow.Session", "s = tf.Session()"),
        ("tensorflow.placeholder", "x = tf.placeholder('float')"),
    ]
    first, second = diagnose(using(OLDER, *used))
    assert first.fixes == (
        Fix(
            "edit",
            ("from keras.layers.core import Dense, Dropout", "from keras.layers import Dense, Dropout"),
        ),
    )
    assert [step.arguments[1] for step in second.fixes] == [
        "s = tf.compat.v1.Session()",
        "x = tf.compat.v1.placeholder('float')",
    ]
    assert "cell 1: from keras.layers.core import Dense, Dropout" in first.evidence


def test_current_code_has_no_finding() -> None:
    used = [
        ("keras.utils.to_categorical", "from keras.utils import to_categorical"),
        ("tensorflow.keras.preprocessing.image.ImageDataGenerator", "…"),
        ("tensorflow.compat.v1.Session", "…"),
        ("tensorflow.keras.backend.sum", "…"),
        ("numpy.float64", "…"),
        ("keras.optimizers.Adam(learning_rate=)", "…"),
        (".predict", "…"),
    ]
    assert not diagnose(using(TODAY, *used))


def test_removed_name_gets_an_environment() -> None:
    used = using(TODAY, ("tensorflow.estimator.DNNClassifier", "c = tf.estimator.DNNClassifier()"))
    finding = only(used)
    assert (finding.code, finding.fixes) == ("CE402", (Fix("up", ("builtin:tf-2.15",)),))
    assert not diagnose(dataclasses.replace(used, distributions=OLDER.distributions))
    notebook = dataclasses.replace(used, notebook="old.ipynb")
    assert only(notebook).fixes == (Fix("init", ("old.ipynb",)),)


def test_name_of_tensorflow_1_has_no_fix() -> None:
    error = "ModuleNotFoundError: No module named 'tensorflow.contrib'"
    finding = only(failing(TODAY, "from tensorflow.contrib import rnn", error))
    assert (finding.code, finding.fixes) == ("CE402", ())
    assert "Python 3.7" in finding.explanation


def test_tf_layers_has_a_replacement_only_with_keras_2() -> None:
    used = ("tensorflow.layers.dense", "y = tf.layers.dense(x, 3)")
    assert only(using(OLDER, used)).code == "CE401"
    assert only(using(TODAY, used)).code == "CE402"


def test_tf_keras_counts_if_it_is_selected() -> None:
    name = "tensorflow.keras.layers.experimental.preprocessing.Rescaling"
    used = using(having(tensorflow="2.18.1", keras="3.8.0", tf_keras="2.18.0"), (name, "…"))
    assert only(used).code == "CE401"
    chosen = dataclasses.replace(used, environ={"TF_USE_LEGACY_KERAS": "1"})
    assert not diagnose(chosen)


@pytest.mark.parametrize(
    ("line", "error", "edited"),
    [
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
    ],
)
def test_renamed_calls(line: str, error: str, edited: str) -> None:
    finding = only(failing(TODAY, line, error))
    assert finding.code == "CE403"
    assert finding.fixes == (Fix("edit", (line, edited)),)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("d['acc']['x']; e['loss']", "KeyError: 'loss'"),
        ("f(x)", "KeyError: 'acc'"),
        ("thing.fit_generators()", "AttributeError: 'Thing' object has no attribute 'fit_generators'"),
    ],
)
def test_similar_errors_are_unexplained(line: str, error: str) -> None:
    assert [finding.code for finding in diagnose(failing(TODAY, line, error))] == ["CE901"]


def test_renamed_calls_in_code() -> None:
    used = [
        ("keras.models.Sequential", "from keras.models import Sequential"),
        (".fit_generator", "model.fit_generator(g)"),
        ("keras.optimizers.Adam(lr=)", "Adam(lr=1)"),
        ("tensorflow.keras.optimizers.legacy.Adam", "tf.keras.optimizers.legacy.Adam()"),
    ]
    assert [finding.code for finding in diagnose(using(TODAY, *used))] == ["CE403"] * 3
    assert not diagnose(using(OLDER, *used))
    assert not diagnose(using(TODAY, *used[1:2]))  # nothing says that it is Keras' model


def test_library_for_older_releases() -> None:
    facts = failing(
        having(tensorflow="2.18.1", keras="3.8.0", efficientnet="1.0.0"),
        "import efficientnet",
        "AttributeError: module 'keras.utils' has no attribute 'generic_utils'",
        file="/usr/lib/python3/dist-packages/efficientnet/__init__.py",
    )
    finding = only(facts)
    assert finding.code == "CE404"
    assert "efficientnet 1.0.0" in finding.summary
    assert finding.fixes[0].arguments[0] == "tf-2.12.yaml"


def test_notebook_is_checked_against_its_pins() -> None:
    used = using(TODAY, ("keras.utils.np_utils", "from keras.utils import np_utils"))
    asked = (InstallRequest("tensorflow==2.8.0", "cell 1", "!pip …"),)
    pinned = dataclasses.replace(used, notebook="old.ipynb", install_requests=asked, python=(3, 10, 12))
    assert only(dataclasses.replace(used, notebook="old.ipynb")).code == "CE401"
    assert not diagnose(pinned)
    # There is no TensorFlow 2.8 for this Python, so the line changes nothing.
    codes = [finding.code for finding in diagnose(dataclasses.replace(pinned, python=(3, 12, 1)))]
    assert codes == ["CE401", "CE412"]


def test_error_from_elsewhere_ignores_installed_versions() -> None:
    error = "ModuleNotFoundError: No module named 'keras.layers.recurrent'"
    line = "from keras.layers.recurrent import LSTM"
    finding = only(
        failing(dataclasses.replace(OLD, notebook="old.ipynb", distributions=()), line, error, is_local=False)
    )
    assert finding.code == "CE401"
    assert "2.8" not in finding.summary
    assert finding.fixes == (Fix("edit", (line, "from keras.layers import LSTM")),)


def test_error_without_a_statement() -> None:
    complaint = ErrorReport("it", "", "ModuleNotFoundError", "No module named 'keras.engine'", is_local=False)
    finding = only(Facts("it", notebook="old.ipynb", errors=(complaint,)))
    assert finding.code == "CE401"
