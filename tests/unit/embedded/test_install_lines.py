"""What `pip install` and `pip uninstall` do in an environment, decided from its lock and what is installed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from colabenv.embedded.install_lines import (
    Plan,
    State,
    guess_name,
    parse_arguments,
    parse_requirement,
    plan_install,
    plan_uninstall,
)

PINS = {
    "tensorflow": "1.15.5",
    "numpy": "1.18.5",
    "scikit-learn": "0.24.2",
    "pip": "24.0",
    "ipykernel": "6.16.2",
}
EXTRAS = {("scikit-learn", "plots"): ["matplotlib>=3"]}


def find_extra(name: str, extra: str) -> Iterable[Any]:
    return [parse_requirement(line) for line in EXTRAS.get((name, extra), [])]


STATE = State(
    PINS,
    {**PINS, "tqdm": "4.60.0"},
    name="lesson",
    profile="/content/lesson.yaml",
    constraints=["setuptools<81", "numpy<1.19"],
    find_extra=find_extra,
)


def plan(line: str, tool: str = "pip", **files: str) -> Plan:
    """The plan for a line; `files` are requirements files by name, with `_` for the dot in it."""
    texts = {name.replace("_", "."): text for name, text in files.items()}
    decide = plan_uninstall if line.startswith("uninstall") else plan_install
    return decide(line.split()[1:], STATE, texts.get, tool)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("install tensorflow", "'lesson' already has tensorflow 1.15.5, so there is nothing to install"),
        (
            "install -q --upgrade numpy>=1.17 pip",
            "already has numpy 1.18.5 and pip 24.0, so there is nothing",
        ),
        ("install -qU --force-reinstall numpy", "already has numpy 1.18.5"),
        ("install tensorflow-gpu", "already has tensorflow 1.15.5"),
        ("install tensorflow[and-cuda]", "already has tensorflow 1.15.5"),
        ("install sklearn", "already has scikit-learn 0.24.2"),
        ("install tqdm>=4", "already has tqdm 4.60.0"),
        (
            "install tensorflow==1.15",
            "Instead of tensorflow==1.15, environment 'lesson' has tensorflow 1.15.5.",
        ),
        (
            "install tensorflow-gpu==1.15.2",
            "Instead of tensorflow-gpu==1.15.2, environment 'lesson' has tensor",
        ),
        (
            "install tensorflow==2.3",
            "tensorflow==2.3 is not installed: environment 'lesson' has tensorflow 1.15.5",
        ),
        ("install tf-nightly>=2", "tf-nightly>=2 is not installed"),
        ("install numpy==1.21", "edit lesson.yaml and run `%colabenv up /content/lesson.yaml` again."),
        (
            "install git+https://u:p@host/tensorflow/tensorflow.git@v2.0",
            "git+https://***@host/tensorflow/tens",
        ),
        ("install https://host/numpy-1.21.0-cp37-cp37m-linux_x86_64.whl", "is not installed: environment"),
        ("install tensorflow@https://host/x.whl", "is not installed: environment"),
        ("install -q condacolab", "condacolab is not installed, because it would replace this Python."),
        ("install git+https://github.com/x/condacolab", "condacolab is not installed"),
        ("uninstall -y tensorflow", "tensorflow 1.15.5 stays: environment 'lesson' is built from it."),
        ("uninstall --yes tensorflow-gpu numpy", "tensorflow 1.15.5 and numpy 1.18.5 stay"),
    ],
)
def test_the_environment_answers(line: str, message: str) -> None:
    result = plan(line)
    assert result.words is None
    (text,) = result.messages
    assert message in text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("install -q --upgrade tensorflow-datasets", ["-q", "--upgrade", "tensorflow-datasets"]),
        ("install --user -q gym", ["-q", "gym"]),
        ("install --break-system-packages --root-user-action=ignore gym", ["gym"]),
        ("install numpy==1.21 gym tensorflow==2.3", ["gym"]),
        ("install tqdm==4.61", ["tqdm==4.61"]),
        ("install scikit-learn[plots]", ["scikit-learn[plots]"]),
        ("install -f https://host/wheels gym", ["-f", "https://host/wheels", "gym"]),
        ("install --index-url https://host/simple numpy gym", ["--index-url", "https://host/simple", "gym"]),
        ("install .", ["."]),
        ("install -e .[test]", ["-e", ".[test]"]),
        ("install ./numpy", ["./numpy"]),
        ("install git+https://host/tensorflow/docs", ["git+https://host/tensorflow/docs"]),
        ("install --target /content/lib numpy==1.21", ["--target", "/content/lib", "numpy==1.21"]),
        ("install -t lib numpy", ["-t", "lib", "numpy"]),
        ("install", []),
        ("install --help", ["--help"]),
        ("uninstall -y gym tensorflow", ["-y", "gym"]),
        ("uninstall -y gym", ["-y", "gym"]),
        ("uninstall", []),
    ],
)
def test_the_rest_is_for_the_installer(line: str, words: list[str]) -> None:
    assert plan(line).words == words


def test_uv_has_its_own_short_options() -> None:
    assert plan("install --system -p 3.11 -P numpy gym", "uv").words == ["-p", "3.11", "-P", "numpy", "gym"]
    assert plan("install --system numpy", "uv").words is None


def test_a_marker_that_does_not_apply_needs_nothing() -> None:
    result = plan_install(["gym; python_version < '3'"], STATE, lambda _: None)
    assert (result.words, result.messages) == (None, [])


def test_requirements_files_lose_what_the_environment_answers() -> None:
    text = """
        # a comment
        tensorflow==2.3   # the newest
        --extra-index-url https://host/simple
        numpy \\
          >= 1.17
        gym==0.17 --hash=sha256:00
        -r more.txt
        -c limits.txt
        git+https://host/x/y.git
    """
    more, limits = "tqdm\n-e ./local\n", "numpy==1.21\nscipy<1.5\n"
    result = plan("install -qr all.txt", all_txt=text, more_txt=more, limits_txt=limits)
    assert result.words == ["-q", "-r", "{0}", "-c", "{1}"]
    assert result.files["{0}"].split("\n") == [
        *("--extra-index-url https://host/simple", "gym==0.17 --hash=sha256:00", "-e ./local", ""),
        *("git+https://host/x/y.git", ""),
    ]
    assert result.files["{1}"] == "scipy<1.5\n"
    assert "numpy 1.18.5 and tqdm 4.60.0." in result.messages[0]
    assert result.messages[1].startswith("tensorflow==2.3 is not installed")


def test_requirements_file_that_the_environment_meets_needs_nothing() -> None:
    result = plan("install -r all.txt", all_txt="-i https://host/simple\nnumpy\ntensorflow==1.15\n")
    assert result.words is None


def test_requirements_file_that_cannot_be_read_is_for_the_installer() -> None:
    assert plan("install -r missing.txt").words == ["-r", "missing.txt"]
    assert plan("install -r pyproject.toml", pyproject_toml="[project]").words == ["-r", "pyproject.toml"]


def test_constraints_of_the_user_yield_to_the_lock() -> None:
    result = plan("install -c limits.txt gym", limits_txt="numpy==1.21\nscipy<1.5\n")
    assert result.words == ["-c", "{0}", "gym"]
    assert result.files == {"{0}": "scipy<1.5\n"}
    assert plan("install -c limits.txt gym", limits_txt="numpy==1.21\n").words == ["gym"]


def test_constraints_are_the_pins_and_no_second_tensorflow() -> None:
    constraints = STATE.list_constraints()
    assert constraints[:2] == ["ipykernel==6.16.2", "numpy==1.18.5"]
    assert {"setuptools<81", "tensorflow-gpu<0", "tf-nightly<0"} <= set(constraints)
    assert not {"numpy<1.19", "tensorflow<0"} & set(constraints)
    assert not any("<0" in line for line in State({"numpy": "1"}, {}).list_constraints())


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("NumPy>=1", "numpy"),
        ("git+https://github.com/a/Some_Repo.git@main#subdirectory=x", "some-repo"),
        ("git+https://github.com/a/b.git#egg=real.name", "real-name"),
        ("https://github.com/a/keras/archive/refs/heads/master.zip", "keras"),
        ("https://host/tensorflow-2.3.0-cp37-none-any.whl#sha256=0", "tensorflow"),
        ("tensorflow-2.3.0-cp37-cp37m-linux_x86_64.whl", "tensorflow"),
        ("https://host/keras-2.3.1.tar.gz", "keras"),
        ("./keras", ""),
        (".", ""),
    ],
)
def test_names_of_addresses(target: str, name: str) -> None:
    assert guess_name(target) == name


def test_short_options_may_be_joined() -> None:
    arguments = parse_arguments(["-qUr", "a.txt", "-rb.txt", "--requirement=c.txt", "-i", "x", "y"])
    assert [(argument.name, argument.value) for argument in arguments] == [
        *(("q", None), ("U", None), ("requirement", "a.txt"), ("requirement", "b.txt")),
        *(("requirement", "c.txt"), ("i", "x"), ("", "y")),
    ]
