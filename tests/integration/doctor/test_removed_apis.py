"""Every row of removed_apis.toml on real wheels: the old line fails, and works after the edit of the finding."""

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
from colabenv.doctor.removed_apis import RemovedName, load_removed_apis
from colabenv.doctor.tracebacks import read_tracebacks
from colabenv.system.process import SystemRunner
from support.doctor.recipe import BrokenEnvironment, Recipe

pytestmark = [pytest.mark.wheels, pytest.mark.network]

_EXTRA = ("setuptools<81", "scikit-learn==1.7.2", "scipy", "tf_slim", "imageio", "six", "pillow")
MACHINES = {
    "Keras 2.15": ("tensorflow-cpu==2.15.1", "scikeras<0.13", *_EXTRA),
    "Keras 3": ("tensorflow-cpu==2.18.1", "scikeras", *_EXTRA),
}
# Each line runs by itself, with what people call the modules.
_RUN = """
import json, os, sys, traceback, warnings
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
warnings.simplefilter("ignore")
import numpy as np
import tensorflow as tf
said = []
for line in json.load(sys.stdin):
    try:
        exec(compile(line, "<cell>", "exec"), {"tf": tf, "np": np})
        said.append("")
    except BaseException:
        said.append(traceback.format_exc())
json.dump(said, open(sys.argv[1], "w"))
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
GONE = [
    "tf.compat.v1.layers.dense(tf.ones((1, 2)), 3)",
    "tf.compat.v1.nn.rnn_cell.BasicLSTMCell(3)",
    "from tensorflow.contrib import rnn",
    "tf.contrib.rnn",
]


class Machine:
    """An environment with one generation of Keras, shared by all lines."""

    def __init__(self, name: str, folder: Path, cache: Path) -> None:
        self.broken = BrokenEnvironment(Recipe(name, "", "", MACHINES[name]), folder, cache)
        python = str(self.broken.python)
        self.facts = gather_facts(
            Target(name, "interpreter", python, self.broken.environ, str(folder)), SystemRunner()
        )

    def run(self, lines: list[str]) -> list[str]:
        """The traceback of each line, "" where it passed."""
        answer = self.broken.cwd / "said.json"
        done = subprocess.run(
            [self.broken.python, "-c", _RUN, answer],
            input=json.dumps(lines),
            env=self.broken.environ,
            cwd=self.broken.cwd,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert answer.exists(), done.stderr[-2000:]
        said: list[str] = json.loads(answer.read_text())
        answer.unlink()
        return said

    def diagnosis(self, line: str, said: str) -> Finding:
        """What the checks make of one failure; nothing else may be wrong."""
        (complaint,) = read_tracebacks(said, "the line", statement=line)
        found = diagnose(dataclasses.replace(self.facts, errors=(complaint,)))
        assert len(found) == 1, (line, said[-500:], [one.summary for one in found])
        return found[0]


@pytest.fixture(scope="module", params=MACHINES)
def machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, uv_cache: Path
) -> Iterator[Machine]:
    made = Machine(request.param, tmp_path_factory.mktemp("era"), uv_cache)
    yield made
    made.broken.remove()


def lines_of(row: RemovedName, facts: Facts) -> list[str]:
    """How people take what a row of the table is about."""
    if not row.examples or not row.is_missing_in(facts.version(row.package.partition(":")[0]) or "99"):
        return []
    names = [f"{row.old}.{example}" if example else row.old for example in row.examples]
    if row.old.startswith("keras.") and row.namespace != "keras":
        names += [f"tensorflow.{name}" for name in names]
    return [f"from {name.rpartition('.')[0]} import {name.rpartition('.')[2]}" for name in names]


def edited(line: str, found: Finding) -> str:
    """The line after the edits that the finding asks for."""
    for step in found.fixes:
        if step.action == "edit":
            line = line.replace(step.arguments[0], step.arguments[1])
    return line


def test_environment_has_no_findings(machine: Machine) -> None:
    assert diagnose(machine.facts) == ()


def test_every_moved_name(machine: Machine) -> None:
    lines = [line for row in load_removed_apis().names if row.new for line in lines_of(row, machine.facts)]
    assert len(lines) > 60
    check(machine, lines, {"CE401"})


def test_common_lines(machine: Machine) -> None:
    said = machine.run(LINES)
    check(machine, [line for line, error in zip(LINES, said, strict=True) if error], {"CE401"})
    assert sum(map(bool, said)) >= 6


def test_renamed_calls(machine: Machine) -> None:
    said = machine.run(CALLS)
    failed = [line for line, error in zip(CALLS, said, strict=True) if error and "have not yet" not in error]
    assert len(failed) >= 5
    check(machine, failed, {"CE403"})


def test_names_without_replacement(machine: Machine) -> None:
    lines = [
        f"from {row.old.rpartition('.')[0]} import {row.old.rpartition('.')[2]}"
        for row in load_removed_apis().names
        if not row.new
        and "." in row.old
        and row.is_missing_in(machine.facts.version(row.package))
        and "compat.v1" not in row.old
    ]
    every = [*lines, *GONE]
    failed = [(line, said) for line, said in zip(every, machine.run(every), strict=True) if said]
    assert len(failed) >= len(lines)
    for line, said in failed:
        assert machine.diagnosis(line, said).code == "CE402", line


def test_names_of_tensorflow_1(machine: Machine) -> None:
    rows = [
        row for row in load_removed_apis().names if row.package == "tensorflow" and ".compat.v1." in row.new
    ]
    assert len(rows) > 500
    lines = [
        text
        for row in rows
        for text in (f"tf.{row.old.partition('.')[2]}", f"tf.{row.new.partition('.')[2]}")
    ]
    said = machine.run(lines)
    wrong = [
        line
        for line, error, old in zip(lines, said, [True, False] * len(rows), strict=True)
        if bool(error) != old
    ]
    assert wrong == []


def check(machine: Machine, lines: list[str], codes: set[str]) -> None:
    """Each line fails, is diagnosed with one of the codes, and passes after its edit."""
    said = machine.run(lines)
    assert [line for line, error in zip(lines, said, strict=True) if not error] == []
    found = [machine.diagnosis(line, error) for line, error in zip(lines, said, strict=True)]
    assert {one.code for one in found} <= codes
    new = [edited(line, one) for line, one in zip(lines, found, strict=True)]
    assert [line for line, after in zip(lines, new, strict=True) if line == after] == []
    still = machine.run(new)
    assert [(line, error[-300:]) for line, error in zip(new, still, strict=True) if error] == []
