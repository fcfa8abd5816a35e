"""Each row of removed_apis.toml on real wheels: a line with the old name fails, and the finding's fix repairs it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from colabenv.doctor.checks import diagnose
from colabenv.doctor.facts import Target, gather_facts
from colabenv.doctor.model import Facts, Finding
from colabenv.doctor.tracebacks import read_tracebacks
from colabenv.frameworks.removed_apis import RemovedName, load_removed_apis
from colabenv.system.process import SystemRunner
from support.doctor.recipe import BrokenEnvironment, Recipe

pytestmark = [pytest.mark.wheels, pytest.mark.network]

EXTRA = ("setuptools<81", "scikit-learn==1.7.2", "scipy", "tf_slim", "imageio", "six", "pillow")
ENVIRONMENTS = {
    "Keras 2.15": ("tensorflow-cpu==2.15.1", "scikeras<0.13", *EXTRA),
    "Keras 3": ("tensorflow-cpu==2.18.1", "scikeras", *EXTRA),
}
#: Runs each line in its own namespace, with TensorFlow and NumPy under their usual names.
RUN_LINES = """
import json, os, sys, traceback, warnings
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
warnings.simplefilter("ignore")
import numpy as np
import tensorflow as tf
errors = []
for line in json.load(sys.stdin):
    try:
        exec(compile(line, "<cell>", "exec"), {"tf": tf, "np": np})
        errors.append("")
    except BaseException:
        errors.append(traceback.format_exc())
json.dump(errors, open(sys.argv[1], "w"))
"""
CALLS = [
    "tf.keras.Sequential([tf.keras.Input((2,)), tf.keras.layers.Dense(2)]).predict_classes(np.ones((3, 2)))",
    "tf.keras.Sequential([tf.keras.Input((2,)), tf.keras.layers.Dense(2)]).predict_generator(np.ones((3, 2)))",
    "tf.keras.optimizers.Adam(lr=0.1)",
    "tf.keras.optimizers.legacy.Adam(0.1)",
    "tf.keras.layers.Conv2D(3, 3, border_mode='same')",
    "tf.keras.layers.Dense(3, init='uniform')",
    "tf.keras.layers.Dense(output_dim=3)",
    "tf.keras.layers.Dropout(p=0.5)",
    "tf.keras.callbacks.ModelCheckpoint('best.h5')",
    "tf.keras.Sequential([tf.keras.Input((2,)), tf.keras.layers.Dense(2)]).save_weights('w.h5')",
]
LINES = [
    "from keras.utils import np_utils",
    "tf.Session()",
    "x = tf.placeholder",
    "from keras import backend as K; K.sum(np.ones(3))",
    "np.float(1)",
    "np.NaN",
    "tf.keras.layers.experimental.preprocessing.Rescaling(2.0)",
    "from tensorflow.keras.layers.experimental import preprocessing",
    "from tensorflow.python.keras.layers import Dense; tf.keras.Sequential([Dense(1)])",
    "from tensorflow.python.keras.engine.topology import Layer",
    "from tensorflow.python.keras.preprocessing.image import ImageDataGenerator",
    "tf.contrib.layers.xavier_initializer()",
]
WITHOUT_REPLACEMENT = [
    "tf.compat.v1.layers.dense(tf.ones((1, 2)), 3)",
    "tf.compat.v1.nn.rnn_cell.BasicLSTMCell(3)",
    "from tensorflow.contrib import rnn",
    "tf.contrib.rnn",
]


class KerasEnvironment:
    """An environment with one generation of Keras, shared by all tests."""

    def __init__(self, name: str, folder: Path, cache: Path) -> None:
        self.broken = BrokenEnvironment(Recipe(name, "", "", ENVIRONMENTS[name]), folder, cache)
        python = str(self.broken.python)
        self.facts = gather_facts(
            Target(name, "interpreter", python, self.broken.environ, str(folder)), SystemRunner()
        )

    def run(self, lines: list[str]) -> list[str]:
        """Return the traceback of each line, or "" if it passed."""
        file = self.broken.cwd / "errors.json"
        completed = subprocess.run(
            [self.broken.python, "-c", RUN_LINES, file],
            input=json.dumps(lines),
            env=self.broken.environ,
            cwd=self.broken.cwd,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert file.exists(), completed.stderr[-2000:]
        errors: list[str] = json.loads(file.read_text())
        file.unlink()
        return errors

    def diagnose_error(self, line: str, error: str) -> Finding:
        """Return the only finding for the error of a line."""
        (import_error,) = read_tracebacks(error, "the line", statement=line)
        findings = diagnose(dataclasses.replace(self.facts, errors=(import_error,)))
        assert len(findings) == 1, (line, error[-500:], [finding.summary for finding in findings])
        return findings[0]


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def environment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, uv_cache: Path
) -> Iterator[KerasEnvironment]:
    environment = KerasEnvironment(request.param, tmp_path_factory.mktemp("keras"), uv_cache)
    yield environment
    environment.broken.remove()


def import_lines(row: RemovedName, facts: Facts) -> list[str]:
    """Imports of the names of a row, also under `tensorflow.keras`; none if they still exist."""
    if not row.examples or not row.is_missing_in(facts.version(row.package.partition(":")[0]) or "99"):
        return []
    names = [f"{row.old}.{example}" if example else row.old for example in row.examples]
    if row.old.startswith("keras.") and row.namespace != "keras":
        names += [f"tensorflow.{name}" for name in names]
    return [f"from {name.rpartition('.')[0]} import {name.rpartition('.')[2]}" for name in names]


def apply_edits(line: str, finding: Finding) -> str:
    """Return the line after the edits of the finding's fixes."""
    for fix in finding.fixes:
        if fix.action == "edit":
            line = line.replace(fix.arguments[0], fix.arguments[1])
    return line


def assert_edits_fix(environment: KerasEnvironment, lines: list[str], code: str) -> None:
    """Assert that each line fails, has one finding with this code, and passes after its edits."""
    errors = environment.run(lines)
    assert [line for line, error in zip(lines, errors, strict=True) if not error] == []
    findings = [environment.diagnose_error(line, error) for line, error in zip(lines, errors, strict=True)]
    assert {finding.code for finding in findings} <= {code}
    edited = [apply_edits(line, finding) for line, finding in zip(lines, findings, strict=True)]
    assert [line for line, new_line in zip(lines, edited, strict=True) if line == new_line] == []
    errors = environment.run(edited)
    assert [(line, error[-300:]) for line, error in zip(edited, errors, strict=True) if error] == []


def test_environment_has_no_findings(environment: KerasEnvironment) -> None:
    assert diagnose(environment.facts) == ()


def test_each_moved_name(environment: KerasEnvironment) -> None:
    lines = [
        line for row in load_removed_apis().names if row.new for line in import_lines(row, environment.facts)
    ]
    assert len(lines) > 60
    assert_edits_fix(environment, lines, "CE401")


def test_common_lines(environment: KerasEnvironment) -> None:
    failed = [line for line, error in zip(LINES, environment.run(LINES), strict=True) if error]
    assert_edits_fix(environment, failed, "CE401")
    assert len(failed) >= 6


def test_renamed_calls(environment: KerasEnvironment) -> None:
    errors = environment.run(CALLS)
    failed = [
        line for line, error in zip(CALLS, errors, strict=True) if error and "have not yet" not in error
    ]
    assert len(failed) >= 5
    assert_edits_fix(environment, failed, "CE403")


def test_names_without_replacement(environment: KerasEnvironment) -> None:
    lines = [
        f"from {row.old.rpartition('.')[0]} import {row.old.rpartition('.')[2]}"
        for row in load_removed_apis().names
        if not row.new
        and "." in row.old
        and row.is_missing_in(environment.facts.version(row.package))
        and "compat.v1" not in row.old
    ]
    all_lines = [*lines, *WITHOUT_REPLACEMENT]
    errors = [
        (line, error) for line, error in zip(all_lines, environment.run(all_lines), strict=True) if error
    ]
    assert len(errors) >= len(lines)
    for line, error in errors:
        assert environment.diagnose_error(line, error).code == "CE402", line


def test_names_of_tensorflow_1(environment: KerasEnvironment) -> None:
    rows = [
        row for row in load_removed_apis().names if row.package == "tensorflow" and ".compat.v1." in row.new
    ]
    assert len(rows) > 500
    old_names = [f"tf.{row.old.partition('.')[2]}" for row in rows]
    new_names = [f"tf.{row.new.partition('.')[2]}" for row in rows]
    errors = dict(zip(old_names + new_names, environment.run(old_names + new_names), strict=True))
    assert [name for name in old_names if not errors[name]] == []
    assert [name for name in new_names if errors[name]] == []
