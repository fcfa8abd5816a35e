"""Incompatible versions with TensorFlow: built, diagnosed and fixed for real."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.doctor.recipe import Recipe, check_recipe

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.wheels]

MODELS = "from tensorflow.keras import applications"
TF_215 = ("tensorflow==2.15.1", "setuptools<81")
TF_218 = ("tensorflow==2.18.1", "setuptools<81")

RECIPES = [
    Recipe(
        name="Keras 3 beside TensorFlow 2.15",
        code="CE102",
        statement=MODELS,
        install=TF_215,
        then=("keras==3.5.0", "optree==0.14.0", "namex==0.0.8"),
        evidence=("keras 3.5.0 is too new", "tensorflow 2.15.1 requires keras (<2.16,>=2.15.0)"),
        quick=True,
    ),
    Recipe(
        name="Keras 2 beside TensorFlow 2.18",
        code="CE102",
        statement=MODELS,
        install=TF_218,
        then=("keras==2.15.0",),
        fails_with="register_load_context_function",
        evidence=("keras 2.15.0 is too old", "tensorflow 2.18.1 requires keras"),
    ),
    Recipe(
        name="tf-keras of another TensorFlow",
        code="CE103",
        statement="import tf_keras",
        install=TF_218,
        then=("tf-keras==2.15.1",),
        fails_with="AttributeError",
        evidence=("tf-keras 2.15.1", "tensorflow 2.18.1"),
        quick=True,
    ),
    Recipe(
        name="Keras 2 is asked for and tf-keras is missing",
        code="CE104",
        statement="import tensorflow; tensorflow.keras.Sequential()",
        install=TF_218,
        environ={"TF_USE_LEGACY_KERAS": "1"},
        evidence=("TF_USE_LEGACY_KERAS=1",),
        quick=True,
    ),
    Recipe(
        name="NumPy 2 beside TensorFlow 2.15",
        code="CE105",
        statement=MODELS,
        install=TF_215,
        then=("numpy==2.0.2",),
        fails_with="numpy.core.umath failed to import",
        evidence=("numpy 2.0.2 is too new", "tensorflow 2.15.1 requires numpy (<2.0.0,>=1.23.5)"),
    ),
    Recipe(
        name="protobuf too old for TensorFlow 2.15",
        code="CE107",
        statement=MODELS,
        install=TF_215,
        then=("protobuf==3.19.6",),
        fails_with="cannot import name 'builder'",
        evidence=("protobuf 3.19.6 is too old", "tensorflow 2.15.1 requires protobuf"),
        quick=True,
    ),
    Recipe(
        name="an ml-dtypes that TensorFlow 2.15 does not take",
        code="CE108",
        statement=MODELS,
        install=TF_215,
        then=("ml-dtypes==0.1.0",),
        fails_with="float8_e4m3b11fnuz",
        evidence=("ml-dtypes 0.1.0 is too old", "tensorflow 2.15.1 requires ml-dtypes (~=0.3.1)"),
    ),
    Recipe(
        name="a wrapt that does not know Python 3.11",
        code="CE108",
        statement=MODELS,
        install=TF_215,
        then=("wrapt==1.10.11",),
        fails_with="formatargspec",
        evidence=("wrapt 1.10.11 is too old",),
        quick=True,
    ),
    Recipe(
        name="an old typing-extensions beside TensorFlow 2.18, as others than TensorFlow say",
        code="CE101",
        statement=MODELS,
        install=TF_218,
        then=("typing-extensions==3.7.4.3",),
        fails_with="cannot import name 'Self' from 'typing_extensions'",
        evidence=("typing-extensions 3.7.4.3 is too old", "grpcio"),
    ),
    Recipe(
        name="the text operations of another TensorFlow",
        code="CE109",
        statement="import tensorflow_text",
        install=TF_215,
        then=("tensorflow-text==2.18.1",),
        fails_with="undefined symbol",
        evidence=("tensorflow-text 2.18.1 requires tensorflow", "tensorflow-text==2.15.0"),
        quick=True,
    ),
    Recipe(
        name="a probability library of before Keras 3, behind which tf-keras is missing",
        code="CE109",
        statement="import tensorflow_probability; tensorflow_probability.distributions.Normal(0.0, 1.0)",
        install=(*TF_218, "tensorflow-probability==0.23.0"),
        fails_with="has no attribute '__internal__'",
        evidence=("tensorflow-probability 0.24 is the first",),
        quick=True,
    ),
    Recipe(
        name="Keras 3 with JAX, where it takes TensorFlow",
        code="CE114",
        statement="import keras",
        install=("keras==3.10.0", "jax==0.6.0"),
        fails_with="No module named 'tensorflow'",
        evidence=("installed: jax", "KERAS_BACKEND"),
    ),
    Recipe(
        name="transformers asks for tf-keras",
        code="CE104",
        statement="from transformers import TFBertModel",
        install=(*TF_218, "transformers==4.44.2"),
        fails_with="Your currently installed version of Keras is Keras 3",
        evidence=("transformers 4.44.2",),
        quick=True,
    ),
]


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bases")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_doctor_finds_and_fixes(recipe: Recipe, tmp_path: Path, uv_cache: Path, bases: Path) -> None:
    check_recipe(recipe, tmp_path, uv_cache, bases)
