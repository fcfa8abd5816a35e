"""Replacing old names in lines of code."""

from __future__ import annotations

from colabenv.doctor.code_edits import replace_names
from colabenv.frameworks.removed_apis import load_removed_apis


def newest_name(name: str) -> str:
    """Return the name in the newest releases, or "" if it is unchanged."""
    return next(
        (
            row.new_name(name)
            for row in load_removed_apis().names
            if row.matches(name) and row.is_missing_in("")
        ),
        "",
    )


def test_old_names_are_replaced() -> None:
    expected = {
        "from keras.utils import np_utils": "from keras import utils as np_utils",
        "from keras.utils.np_utils import to_categorical": "from keras.utils import to_categorical",
        "import keras.utils.np_utils as u": "import keras.utils as u",
        "from keras.layers.core import Dense, Dropout as D": "from keras.layers import Dense, Dropout as D",
        "from keras.engine.topology import Layer, Input": "from keras.layers import Layer, Input",
        "from keras.engine import Layer, Model": "from keras.layers import Layer; from keras.models import Model",
        "from keras.constraints import maxnorm, NonNeg": "from keras.constraints import MaxNorm as maxnorm, NonNeg",
        "from tensorflow.keras.layers.experimental import preprocessing": (
            "from tensorflow.keras import layers as preprocessing"
        ),
        "x = tf.keras.layers.experimental.preprocessing.Rescaling(2)": "x = tf.keras.layers.Rescaling(2)",
        "s = tf.Session(config=tf.ConfigProto())": "s = tf.compat.v1.Session(config=tf.compat.v1.ConfigProto())",
        "a = np.array([1], dtype=np.float)": "a = np.array([1], dtype=float)",
        "a = np.NaN": "a = np.nan",
        "from sklearn.externals import joblib": "import joblib",
        "from keras_applications import resnet": "from keras.applications import resnet",
        "import keras_applications": "import keras.applications as keras_applications",
        "import keras; keras.backend.sum([1.0])": (
            "import keras; import tensorflow.keras.backend; tensorflow.keras.backend.sum([1.0])"
        ),
        "from tensorflow.python.keras.layers import Dense": "from tensorflow.keras.layers import Dense",
        "from keras.layers.core import *": "from keras.layers import *",
        "for k in np.alltrue(x):": "for k in np.all(x):",
    }
    assert {old: replace_names(old, newest_name) for old in expected} == expected


def test_current_lines_are_unchanged() -> None:
    lines = [
        "from keras.layers import Dense",
        "import tensorflow as tf",
        "tf.keras.Sequential()",
        "keras_utils.np_utils.x()",
        "np.floating",
        "",
        "def (",
    ]
    assert [replace_names(line, newest_name) for line in lines] == lines


def test_aliases_of_the_code_are_used() -> None:
    aliases = {"tflow": "tensorflow"}
    assert replace_names("tflow.Session()", newest_name, aliases) == "tflow.compat.v1.Session()"
