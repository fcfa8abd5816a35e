"""Reading pyproject.toml, environment.yml and requirements files."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colabenv.errors import UsageError
from colabenv.importers.evidence import parse_requirements_file
from colabenv.importers.project_files import convert_poetry_version, read_conda_environment, read_pyproject

QUICK = settings(max_examples=150, deadline=None, database=None)


def test_pep_621_project() -> None:
    evidence = read_pyproject(
        '[project]\nname = "A"\nrequires-python = ">=3.9"\ndependencies = ["b>=1", "c @ git+https://x@h/c"]\n'
        '[project.optional-dependencies]\nplots = ["d"]\n[dependency-groups]\ntest = ["e", {include-group = "f"}]\n'
        '[[tool.uv.index]]\nurl = "https://host/simple"\n[tool.uv.sources]\nb = {git = "https://h/b"}\n',
        "pyproject.toml",
    )
    assert (evidence.name, [(target.kind, target.text) for target in evidence.targets]) == (
        "A",
        [("package", "b>=1"), ("address", "c @ git+https://***@h/c")],
    )
    assert [python.text for python in evidence.pythons] == [">=3.9"]
    assert evidence.indexes == ("https://host/simple",)
    assert evidence.remarks == (
        "Left out: the extra plots (d).",
        "Left out: the group test (e).",
        "b comes from the package index, not from where [tool.uv.sources] says.",
    )


def test_poetry_project() -> None:
    evidence = read_pyproject(
        '[tool.poetry]\nname = "a"\n[tool.poetry.dependencies]\npython = "^3.8"\nb = "^1.2"\n'
        'c = {version = "~2.1", extras = ["x"]}\nd = {git = "https://h/d"}\ne = {version = "*", optional = true}\n',
        "pyproject.toml",
    )
    assert [(target.kind, target.text) for target in evidence.targets] == [
        ("package", "b<2,>=1.2"),
        ("package", "c[x]<2.2,>=2.1"),
        ("address", "d from a URL or path"),
    ]
    assert [python.text for python in evidence.pythons] == [">=3.8,<4"]


def test_versions_of_poetry_are_converted_to_pep_440() -> None:
    versions = {
        "^1.2.3": ">=1.2.3,<2",
        "^0.2.3": ">=0.2.3,<0.3",
        "^0.0.3": ">=0.0.3,<0.0.4",
        "^0": ">=0,<1",
        "~1.2": ">=1.2,<1.3",
        "~1": ">=1,<2",
        "1.2.*": "==1.2.*",
        "*": "",
        ">=1.2, <3": ">=1.2,<3",
    }
    assert {poetry: convert_poetry_version(poetry) for poetry in versions} == versions


def test_dynamic_dependencies_of_setuptools() -> None:
    text = '[project]\nname="a"\ndynamic=["dependencies"]\n'
    file = '[tool.setuptools.dynamic]\ndependencies = {file = ["requirements.txt"]}'
    assert [(target.kind, target.text) for target in read_pyproject(text + file, "p").targets] == [
        ("file", "requirements.txt")
    ]
    assert "add them by hand" in read_pyproject(text, "p").remarks[0]


def test_conda_environment() -> None:
    evidence = read_conda_environment(
        "name: vision\nchannels: [pytorch, defaults]\ndependencies:\n- python=3.10\n- numpy=1.19.2=py38h54aff64_0\n"
        "- xz=5.2.5=h7b6447c_0\n- conda-forge::opencv\n- scipy>=1.5\n- h5py=2.10\n- pandas 1.2.*\n"
        "- pip:\n  - tqdm==4.62\n  - -e .\n",
        "environment.yml",
    )
    assert [(target.kind, target.text, target.tool) for target in evidence.targets] == [
        ("package", "numpy==1.19.2.*", "conda"),
        ("package", "xz==5.2.5.*", "conda-library"),
        ("package", "opencv", "conda"),
        ("package", "scipy>=1.5", "conda"),
        ("package", "h5py==2.10.*", "conda"),
        ("package", "pandas==1.2.*", "conda"),
        ("package", "tqdm==4.62", "pip"),
        ("folder", ".", "pip"),
    ]
    assert (evidence.name, [python.text for python in evidence.pythons]) == ("vision", ["3.10"])
    assert evidence.remarks == ("Packages come from the package index, not from conda's channels (pytorch).",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a conda environment file"),
        ("dependencies: x", "not a conda environment file"),
        ("name: a\nstack: {tensorflow: 2.15}", "not a conda environment file"),
        ("a: [", "line 2: invalid YAML"),
        ("[" * 100_000, "too deeply nested"),
        ("a: &x 1\nb: *x", "has a YAML alias"),
        ("- a\n" * 60_000, "too large"),
    ],
)
def test_invalid_conda_environment_is_an_error(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_conda_environment(text, "environment.yml")
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no [project]"),
        ("[tool.black]", "has no [project]"),
        ("x = ", "is not valid TOML"),
        ("a=" + "[" * 9999, "is not valid TOML"),
    ],
)
def test_invalid_pyproject_is_an_error(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_pyproject(text, "pyproject.toml")
    assert message in caught.value.message


def test_requirements_file_with_every_kind_of_line() -> None:
    requirements = parse_requirements_file(
        "-r base.txt\n-c pins.txt\n--extra-index-url https://u:p@h/simple\n--no-binary=a,b\n# c\n"
        "a==1 \\\n  --hash=sha256:x\nb>=1 ; python_version < '3.9'  # why\n-e git+https://h/x#egg=x\n./wheels/x.whl\n"
        "d=>1\n"
    )
    assert [(target.kind, target.text, str(target.location)) for target in requirements.targets] == [
        ("file", "base.txt", "line 1"),
        ("constraints", "pins.txt", "line 2"),
        ("package", "a==1", "line 6"),
        ("package", 'b>=1; python_version < "3.9"', "line 8"),
        ("address", "git+https://h/x#egg=x", "line 9"),
        ("folder", "./wheels/x.whl", "line 10"),
        ("unreadable", "d=>1", "line 11"),
    ]
    assert (requirements.indexes, requirements.no_binary, requirements.hashes) == (
        ["https://u:p@h/simple"],
        ["a", "b"],
        True,
    )


@QUICK
@given(
    st.text(max_size=80)
    | st.lists(st.sampled_from(["-r", " ", "a", "==1", "\\\n", "\n", "'", ";", "-c", "--x="])).map("".join)
)
def test_any_text_can_be_a_requirements_file(text: str) -> None:
    targets = parse_requirements_file(text).targets
    assert all(target.requirement for target in targets if target.kind == "package")


@QUICK
@given(
    st.recursive(
        st.sampled_from(["a", "a=1", "a=1=b", "pip", "::", "-e .", "x y z", "_"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["dependencies", "pip", "name", "channels"]), inner, max_size=3)
        ),
    )
)
def test_any_yaml_is_parsed_or_an_error(tree: object) -> None:
    try:
        read_conda_environment(json.dumps(tree), "e.yml")
    except UsageError as error:
        assert "e.yml" in error.message
