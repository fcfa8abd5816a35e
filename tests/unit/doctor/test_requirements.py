"""What a Colab runtime ships is no finding there, though its metadata disagrees."""

from __future__ import annotations

from colabenv.doctor.model import Distribution, Facts
from colabenv.doctor.requirements import dependencies, unmet_dependencies
from colabenv.frameworks.runtimes import load_runtime

TORCH = Distribution("torch", "2.6.0+cu124", requires=("nvidia-cudnn-cu12==9.1.0.70",))
CUDNN = Distribution("nvidia-cudnn-cu12", "9.3.0.75")
SHIPPED = (load_runtime("colab-2025.07").packages("gpu"),)


def test_a_pair_as_colab_ships_it_is_left_out() -> None:
    assert SHIPPED[0]["torch"] == "2.6.0"
    assert SHIPPED[0]["nvidia-cudnn-cu12"] == "9.3.0.75"
    assert not dependencies(Facts("x", distributions=(TORCH, CUDNN), colab_packages=SHIPPED))


def test_the_same_pair_elsewhere_is_a_finding() -> None:
    assert [need.key for need in unmet_dependencies(Facts("x", distributions=(TORCH, CUDNN)))] == [
        "torch>nvidia-cudnn-cu12"
    ]


def test_one_that_was_changed_since_is_a_finding() -> None:
    changed = Distribution("nvidia-cudnn-cu12", "9.10.0.1")
    facts = Facts("x", distributions=(TORCH, changed), colab_packages=SHIPPED)
    assert [need.key for need in unmet_dependencies(facts)] == ["torch>nvidia-cudnn-cu12"]


def test_lines_of_extras_count_only_where_another_marker_lets_them() -> None:
    lines = ("a>=2; extra == 'gpu'", "b>=2; extra == 'gpu' or python_version >= '3'", "c>=2")
    facts = Facts(
        "x", distributions=(Distribution("d", "1", requires=lines),), markers={"python_version": "3.12"}
    )
    assert [need.name for need in dependencies(facts)] == ["b", "c"]
