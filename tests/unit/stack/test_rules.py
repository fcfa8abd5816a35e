"""The stack's rules: variants, the Python that fits, repairs of old releases, CUDA wheels."""

from __future__ import annotations

import pytest
from packaging.requirements import Requirement

from colabenv.errors import UnsatisfiableError, UsageError
from colabenv.stack.facts import CUDA_11, LINES
from colabenv.stack.rules import Requirements, choose_variant, line_of, requirements


@pytest.mark.parametrize(
    ("accelerator", "asked", "host", "variant"),
    [
        ("auto", "auto", "cpu", "cpu"),
        ("auto", "auto", "gpu", "gpu"),
        ("cpu", "auto", "gpu", "cpu"),
        ("gpu", "auto", "cpu", "gpu"),
        ("auto", "gpu", "cpu", "gpu"),
        ("auto", "cpu", "gpu", "cpu"),
        ("gpu", "gpu", "cpu", "gpu"),
    ],
)
def test_the_command_the_profile_and_the_machine_decide_in_that_order(
    accelerator: str, asked: str, host: str, variant: str
) -> None:
    assert choose_variant(accelerator, asked, host) == variant


@pytest.mark.parametrize(("accelerator", "asked"), [("cpu", "gpu"), ("gpu", "cpu")])
def test_a_contradiction_is_refused_with_three_ways_out(accelerator: str, asked: str) -> None:
    with pytest.raises(UsageError, match=f"--variant {asked} contradicts") as caught:
        choose_variant(accelerator, asked, "cpu")
    for way in ("Leave --variant out", "accelerator: auto", f"--variant {accelerator}"):
        assert way in caught.value.hint


def ask(
    tensorflow: str | None = None,
    python: str | None = None,
    *,
    keras: str | None = None,
    lines: tuple[str, ...] = (),
    variant: str = "cpu",
) -> Requirements:
    return requirements(
        python=python, tensorflow=tensorflow, keras=keras, lines=lines, variant=variant, default_python="3.12"
    )


def test_the_stack_comes_before_the_profiles_own_lines() -> None:
    found = ask("==2.15.1", "3.11", keras="==2.15.*", lines=("pandas==2.1.4", "numpy"))
    assert found.lines == ("tensorflow==2.15.1", "keras==2.15.*", "pandas==2.1.4", "numpy")
    assert (found.python, found.variant, found.notes) == ("3.11", "cpu", ())


def test_without_a_stack_the_lines_stand_alone() -> None:
    found = ask(lines=("torch",))
    assert (found.python, found.lines, found.constraints) == ("3.12", ("torch",), ())
    assert found.notes == ("Python 3.12: the profile names none.",)


@pytest.mark.parametrize(
    ("specifier", "python"),
    [
        ("==2.8.4", "3.10"),
        ("==2.13.*", "3.11"),
        ("==2.15.1", "3.11"),
        ("==2.16.*", "3.12"),
        ("==2.20.0", "3.13"),
    ],
)
def test_the_newest_python_with_wheels_is_picked_and_said(specifier: str, python: str) -> None:
    found = ask(specifier)
    assert found.python == python
    assert f"Python {python}: the newest that TensorFlow" in found.notes[0]


@pytest.mark.parametrize(
    ("specifier", "python"),
    [("==2.15.1", "3.12"), ("==2.15.1", "3.8"), ("==2.13.*", "3.12.1"), ("==2.21.0", "3.9")],
)
def test_a_python_without_wheels_is_refused_with_what_fits(specifier: str, python: str) -> None:
    with pytest.raises(UnsatisfiableError, match=f"no wheels for Python {python}") as caught:
        ask(specifier, python)
    assert 'set python: "3.' in caught.value.hint
    assert "leave python out" in caught.value.hint


def test_the_refusal_names_the_releases_for_that_python() -> None:
    with pytest.raises(UnsatisfiableError) as caught:
        ask("==2.15.1", "3.12")
    assert caught.value.message == "TensorFlow 2.15 has no wheels for Python 3.12."
    assert caught.value.hint == (
        'TensorFlow 2.15 runs on Python 3.9 to 3.11: set python: "3.11"; Python 3.12 has TensorFlow 2.16 to 2.21. '
        "Or leave python out, and colabenv picks one that fits."
    )


def test_a_python_that_no_tensorflow_knows_has_no_list_of_releases() -> None:
    with pytest.raises(UnsatisfiableError) as caught:
        ask("==2.15.1", "3.7")
    assert "3.7 has" not in caught.value.hint


@pytest.mark.parametrize(
    ("specifier", "line"),
    [
        ("==2.15.1", (2, 15)),
        ("==2.15.*", (2, 15)),
        ("~=2.15.0", (2, 15)),
        ("<2.16", (2, 15)),
        (">=2.12,<2.14", (2, 13)),
        (">=2", (2, 21)),
        ("", (2, 21)),
        ("==2.9.3", (2, 9)),
    ],
)
def test_a_specifier_means_the_newest_line_it_admits(specifier: str, line: tuple[int, int]) -> None:
    found = line_of(specifier)
    assert found is not None
    assert found == (line, LINES[line])


@pytest.mark.parametrize("specifier", ["==2.7.0", "==1.15.5", ">=3", "==2.99.0"])
def test_a_release_nobody_has_facts_about_is_passed_on_as_it_is(specifier: str) -> None:
    assert line_of(specifier) is None
    found = ask(specifier, "3.11", variant="gpu")
    assert found.lines == (f"tensorflow[and-cuda]{specifier}",)
    assert found.constraints == ()


@pytest.mark.parametrize(
    ("specifier", "repairs"),
    [
        ("==2.8.4", ("numpy<2", "protobuf<3.21", "setuptools<81")),
        ("==2.10.1", ("numpy<2", "setuptools<81")),
        ("==2.15.1", ("setuptools<81",)),
        ("==2.21.0", ()),
    ],
)
def test_old_releases_bring_their_repairs(specifier: str, repairs: tuple[str, ...]) -> None:
    assert ask(specifier).constraints == repairs


@pytest.mark.parametrize("release", [line for line in sorted(LINES) if LINES[line].cudnn])
def test_tensorflow_of_cuda_11_gets_its_wheels_by_name(release: tuple[int, int]) -> None:
    specifier = f"=={release[0]}.{release[1]}.0"
    assert ask(specifier).lines == (f"tensorflow{specifier}",)
    lines = ask(specifier, variant="gpu").lines
    assert lines == (f"tensorflow{specifier}", *CUDA_11, f"nvidia-cudnn-cu11=={LINES[release].cudnn}")


@pytest.mark.parametrize("release", [line for line in sorted(LINES) if not LINES[line].cudnn])
def test_newer_ones_bring_their_own(release: tuple[int, int]) -> None:
    specifier = f"=={release[0]}.{release[1]}.0"
    assert ask(specifier, variant="gpu").lines == (f"tensorflow[and-cuda]{specifier}",)


@pytest.mark.parametrize("release", sorted(LINES))
def test_every_fact_is_well_formed(release: tuple[int, int]) -> None:
    line = LINES[release]
    assert 8 <= line.oldest <= line.newest <= 13
    for text in (*line.repairs, *CUDA_11):
        Requirement(text)
