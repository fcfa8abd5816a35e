"""Render table.toml."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from stacktable.curated import BUILDS, CUDA, REPAIRS, SOURCES
from stacktable.frameworks import Backends, Jax, Torch
from stacktable.frameworks import group_rows as group_frameworks
from stacktable.rows import Pair, Row, group_rows

_HEADER = """\
# Which versions work with which TensorFlow, PyTorch, JAX and Keras, on Linux x86-64.
# Written by scripts/refresh-stack-table on {day}; do not edit.
#
# Read from the package index; final releases only, without yanked files:
# [[tensorflow]] python, cpu_python: the names of the wheels of tensorflow and tensorflow-cpu.
# [[tensorflow]] needs, extra: METADATA of the wheels for the oldest and the newest Python, which agree. `extra` has the
#   requirements of tensorflow[and-cuda].
# [[tensorflow]] source_builds: requirements without a matching wheel on the index for some Python from 3.7 on. They are
#   built from source.
# [[tensorflow]] without_wheels: requirements of the extra without a wheel on the index. They make the extra impossible
#   to install; `cuda_pins` has its other requirements.
# [[wheels]]: the lists that other fields, such as `extra` and `cuda_pins`, refer to by name.
# [[tensorflow]] wheels_cuda, wheels_cudnn: the newest releases of the CUDA runtime and of cuDNN that the pins or the
#   extra allow.
# [companion]: METADATA of one wheel of each release since December 2018; `read` says which part of it. A release
#   without `tensorflow` declares none; one without `python` has wheels for any. `source_builds` has the requirements of
#   which the index has only the source.
# [[torch]], [[jax]] python: the names of torch's wheels; those of the jaxlib wheels that JAX accepts, within JAX's
#   Requires-Python. CPython 3.7 to 3.14 only.
# [[torch]], [[jax]] needs: METADATA; only requirements for which another framework has a range too.
# [[torch]] brings: NVIDIA's wheels in METADATA, which are installed with or without a GPU; instead of `cuda-toolkit`,
#   its requirements.
# [[jax]] cuda12, cuda13: NVIDIA's wheels that jax[cuda12] and jax[cuda13] require, including those in METADATA of the
#   newest plugin that JAX accepts; missing if the index has no such plugin.
# [[jax]] cuda12_release, cuda13_release: like `wheels_cuda`.
# [[keras_backends]]: the table in the description of Keras; `read` is "curated" for releases without one.
# METADATA is read separately from the wheel (PEP 658), or, if the index does not offer that, from the end of the wheel.
#
# Not in any metadata, kept in scripts/stacktable/curated.py:
"""


@dataclass(frozen=True)
class OtherFrameworks:
    """The rows of the frameworks beside TensorFlow, oldest release first."""

    torch: list[Torch]
    jax: list[Jax]
    backends: list[Backends]


def render_table(
    day: str, rows: list[Row], keras: list[str], companions: dict[str, list[Pair]], others: OtherFrameworks
) -> str:
    """The text of table.toml.

    Args:
        day: the day on which the index was read, "2026-11-22".
        rows: TensorFlow's releases, oldest first.
        keras: Keras releases, oldest first.
        companions: name to its releases, oldest first.
        others: the frameworks beside TensorFlow.
    """
    parts = [_HEADER.format(day=day), *(f"# {line}\n" for line in SOURCES), "\n"]
    parts.append(_pairs(read=day) + _list("keras", keras) + "\n")
    for build in BUILDS:
        fields = {name: value for name, value in vars(build).items() if name != "cudnn_pin"}
        parts.append("[[build]]\n" + _pairs(**fields) + "\n")
    for release, oldest, newest, driver in CUDA:
        parts.append(
            "[[cuda]]\n" + _pairs(release=release, oldest=oldest, newest=newest, driver=driver) + "\n"
        )
    for framework, specifier, constraint, why in REPAIRS:
        fields = {"framework": framework, "releases": specifier, "constraint": constraint, "why": why}
        parts.append("[[repair]]\n" + _pairs(**fields) + "\n")
    sets = {**_wheel_sets(rows), **_other_sets(others)}
    for wheels, name in sets.items():
        parts.append("[[wheels]]\n" + _pairs(name=name, requirements=wheels) + "\n")
    for releases, row in group_rows(rows):
        facts = {name: value for name, value in vars(row).items() if name != "release"}
        facts["extra"] = sets.get(row.extra, "")
        facts["cuda_pins"] = sets.get(row.cuda_pins, "")
        parts.append("[[tensorflow]]\n" + _pairs(releases=releases, **facts) + "\n")
    parts += _other_rows(others, sets)
    parts.append("[companion]\n")
    for name, pairs in companions.items():
        parts += [f"{name} = [\n", *(f"    {_inline(same)},\n" for same in _group_pairs(pairs)), "]\n"]
    return "".join(parts).rstrip("\n") + "\n"


def _wheel_sets(rows: list[Row]) -> dict[tuple[str, ...], str]:
    """The names of the lists of CUDA wheels."""
    names: dict[tuple[str, ...], str] = {}
    for row in rows:
        for wheels in (row.extra, row.cuda_pins):
            if wheels and wheels not in names:
                name = f"cuda-{row.wheels_cuda}-cudnn-{row.wheels_cudnn}"
                names[wheels] = name if name not in names.values() else f"{name}-for-{row.release}"
    return names


def _other_sets(others: OtherFrameworks) -> dict[tuple[str, ...], str]:
    """The names of the wheel lists of other frameworks, after the first release that has them."""
    names: dict[tuple[str, ...], str] = {}
    for torch_row in others.torch:
        names.setdefault(torch_row.brings, f"torch-{torch_row.release}")
    for row in others.jax:
        names.setdefault(row.cuda12, f"jax-{row.release}-cuda12")
        names.setdefault(row.cuda13, f"jax-{row.release}-cuda13")
    names.pop((), None)
    return names


def _other_rows(others: OtherFrameworks, sets: dict[tuple[str, ...], str]) -> list[str]:
    parts = []
    for framework, rows in (
        ("torch", others.torch),
        ("jax", others.jax),
        ("keras_backends", others.backends),
    ):
        for releases, row in group_frameworks(rows):  # type: ignore[type-var]
            facts = {name: value for name, value in vars(row).items() if name != "release"}
            for name in ("brings", "cuda12", "cuda13"):
                if name in facts:
                    facts[name] = sets.get(facts[name], "")
            parts.append(f"[[{framework}]]\n" + _pairs(releases=releases, **facts) + "\n")
    return parts


def _inline(same: list[Pair]) -> str:
    first = same[0]
    values = {
        "releases": [pair.release for pair in same],
        "tensorflow": first.tensorflow,
        "python": list(first.python),
        "source_builds": list(first.source_builds),
        "read": first.read,
    }
    return "{ " + ", ".join(f"{name} = {json.dumps(value)}" for name, value in values.items() if value) + " }"


def _group_pairs(pairs: list[Pair]) -> list[list[Pair]]:
    return [
        list(same)
        for _, same in groupby(
            pairs, key=lambda pair: (pair.tensorflow, pair.python, pair.source_builds, pair.read)
        )
    ]


def _pairs(**values: object) -> str:
    """Keys and values, without empty ones."""
    lines = []
    for name, value in values.items():
        if isinstance(value, str):
            lines += [f"{name} = {json.dumps(value)}\n"] if value else []
        elif isinstance(value, (list, tuple)):
            lines += [_list(name, value)] if value else []
        else:
            raise TypeError(f"{name} is {value!r}")
    return "".join(lines)


def _list(name: str, values: Iterable[str]) -> str:
    """A list on one line if it fits; else one long item or several short ones a line."""
    items = [json.dumps(value) for value in values]
    line = f"{name} = [{', '.join(items)}]\n"
    if len(line) <= 110:
        return line
    if max(map(len, items)) > 20:
        return f"{name} = [\n" + "".join(f"    {item},\n" for item in items) + "]\n"
    lines, current = [], ""
    for item in items:
        if len(current) + len(item) > 100:
            lines.append(current)
            current = ""
        current += f"{item}, "
    lines.append(current)
    return f"{name} = [\n" + "".join(f"    {line.rstrip()}\n" for line in lines) + "]\n"
