"""Keras 3 and the framework that it runs on."""

from __future__ import annotations

from colabenv.doctor.checks import diagnose
from colabenv.doctor.model import Fix
from support.doctor.facts import dist, facts, only_finding, traceback

SAID = traceback(
    "ModuleNotFoundError: No module named 'tensorflow'", "keras/__init__.py", "keras/src/tree/optree_impl.py"
)
KERAS = dist("keras", "3.15.1")


def test_another_framework_is_here() -> None:
    one = only_finding(facts(KERAS, dist("jax", "0.12.0"), error=SAID), "CE114")
    assert one.summary == "Keras 3.15.1 uses tensorflow, which is not installed (installed: jax)."
    assert one.fixes == (Fix("set", ("KERAS_BACKEND", "jax")),)
    assert one.explains == ("import it",)


def test_no_framework_is_here() -> None:
    assert only_finding(facts(KERAS, error=SAID), "CE114").fixes == (Fix("install", ("tensorflow",)),)


def test_where_it_is_not_keras_that_misses_it() -> None:
    own = traceback("ModuleNotFoundError: No module named 'tensorflow'", "odd/__init__.py")
    assert "CE114" not in [one.code for one in diagnose(facts(KERAS, dist("jax", "0.12.0"), error=own))]
    assert "CE114" not in [one.code for one in diagnose(facts(dist("keras", "2.15.0"), error=SAID))]
    assert diagnose(facts(KERAS, dist("jax", "0.12.0"))) == ()
