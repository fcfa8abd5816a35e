"""Keras 3 and the framework that it runs on."""

from __future__ import annotations

from colabenv.doctor.checks import diagnose
from colabenv.doctor.model import Fix
from support.doctor.made_versions import dist, facts, found, raised

SAID = raised(
    "ModuleNotFoundError: No module named 'tensorflow'", "keras/__init__.py", "keras/src/tree/optree_impl.py"
)
KERAS = dist("keras", "3.15.1")


def test_another_framework_is_here() -> None:
    one = found(facts(KERAS, dist("jax", "0.12.0"), said=SAID), "CE114")
    assert one.what == "Keras 3.15.1 runs on tensorflow, which is not installed; jax is here."
    assert one.steps == (Fix("set", ("KERAS_BACKEND", "jax")),)
    assert one.explains == ("import it",)


def test_no_framework_is_here() -> None:
    assert found(facts(KERAS, said=SAID), "CE114").steps == (Fix("install", ("tensorflow",)),)


def test_where_it_is_not_keras_that_misses_it() -> None:
    own = raised("ModuleNotFoundError: No module named 'tensorflow'", "odd/__init__.py")
    assert "CE114" not in [one.code for one in diagnose(facts(KERAS, dist("jax", "0.12.0"), said=own))]
    assert "CE114" not in [one.code for one in diagnose(facts(dist("keras", "2.15.0"), said=SAID))]
    assert diagnose(facts(KERAS, dist("jax", "0.12.0"))) == ()
