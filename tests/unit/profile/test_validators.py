"""What single values of a profile are taken and what is refused, and with which words."""

from __future__ import annotations

import pytest
from pydantic_core import PydanticCustomError

from colabenv.profile import validators
from colabenv.profile.validators import parse_specifier


def refusal(check: object, text: str) -> tuple[str, str]:
    """The message and the hint with which `check` refuses `text`."""
    assert callable(check)
    with pytest.raises(PydanticCustomError) as caught:
        check(text)
    context = caught.value.context
    assert context is not None
    return context["problem"], context["hint"]


@pytest.mark.parametrize("name", ["a", "vision-2023", "0", "tf_2.15", "a" * 63, "console", "base2"])
def test_names_that_make_good_folders(name: str) -> None:
    assert validators.validate_profile_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "A",
        "a b",
        "a..b",
        "a.",
        "-a",
        "_a",
        "a" * 64,
        "é",
        "a\n",
        "a\0",
        "con",
        "nul.txt",
        "com1",
        "lpt9.x",
        "base",
        "١",
    ],
)
def test_names_that_are_refused(name: str) -> None:
    refusal(validators.validate_profile_name, name)


def test_refused_name_suggests_a_valid_one() -> None:
    assert refusal(validators.validate_profile_name, "Visión 2023!")[1] == "Did you mean 'vision-2023'?"
    assert refusal(validators.validate_profile_name, "../../x")[1] == "Did you mean 'x'?"


@pytest.mark.parametrize("text", ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.10.13", "3.12.0"])
def test_valid_python_versions(text: str) -> None:
    assert validators.validate_python(text) == text


@pytest.mark.parametrize(
    "text", ["", "3", "3.1", "3.7", "3.14", "2.7", "3.10.", "3.10.x", "3.10.133", "latest", "٣.١٠"]
)
def test_invalid_python_versions_list_the_valid_ones(text: str) -> None:
    _, hint = refusal(validators.validate_python, text)
    assert "3.8, 3.9, 3.10, 3.11, 3.12, 3.13" in hint


@pytest.mark.parametrize("text", ["python3.10", ">=3.10", "py 3.10", "==3.10.*"])
def test_python_in_another_form_is_suggested_correctly(text: str) -> None:
    assert refusal(validators.validate_python, text)[1].startswith('Did you mean "3.10"?')


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2.15.1", "==2.15.1"),
        ("2.15", "==2.15.*"),
        ("2", "==2.*"),
        ("2.15.*", "==2.15.*"),
        ("2.16.0rc0", "==2.16.0rc0"),
        ("2.16rc0", "==2.16rc0"),
        (">=2.15,<2.16", "<2.16,>=2.15"),
        (" ~= 2.15.0 ", "~=2.15.0"),
        ("!=2.15.0, >=2.14", "!=2.15.0,>=2.14"),
    ],
)
def test_a_version_becomes_a_specifier_set(text: str, wanted: str) -> None:
    assert parse_specifier(text) == wanted


@pytest.mark.parametrize("text", ["", " ", ",", "latest", "2.15,<3", "2.x", "v", ">=", "*", "1" * 201, "²"])
def test_invalid_versions(text: str) -> None:
    assert ">=2.15,<2.16" in refusal(validators.validate_version, text)[1]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Pandas == 2.1.4", "pandas==2.1.4"),
        ("opencv_python.headless", "opencv-python-headless"),
        ("ray[tune,Default] >=2, <3", "ray[Default,tune]<3,>=2"),
        ("x; python_version>='3.9'", 'x ; python_version >= "3.9"'),
        ("x (>=1)", "x>=1"),
    ],
)
def test_requirement_is_normalized(text: str, wanted: str) -> None:
    assert validators.normalize_requirement(text) == wanted
    assert validators.normalize_requirement(wanted) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x @ https://host/x.whl", "from URLs"),
        ("x@https://host/x.whl", "from URLs"),
        ("https://host/x.whl", "from URLs"),
        ("git+ssh://git@host/x", "from URLs"),
        ("git+x", "from URLs"),
        ("./x", "files and folders"),
        ("/x", "files and folders"),
        ("x-1.0-py3-none-any.whl", "files and folders"),
        ("-e .", "pip option"),
        ("--pre", "pip option"),
        ("", "invalid requirement"),
        ("a b c", "invalid requirement"),
        ("a" * 1001, "too long"),
        ("a; " + "(" * 500 + "x", "too long or too deeply"),
    ],
)
def test_invalid_requirements(text: str, said: str) -> None:
    assert said in refusal(validators.normalize_requirement, text)[0]


@pytest.mark.parametrize("text", ["pandas=2.1", "pandas 2.1", "pandas = 2.1"])
def test_single_equals_sign_suggests_two(text: str) -> None:
    assert refusal(validators.normalize_requirement, text)[1] == 'Did you mean "pandas==2.1"?'


@pytest.mark.parametrize("text", ["requirements.txt", "sub/r.txt", "sub/../r.txt", "./r.txt", "a b.txt"])
def test_paths_that_stay_in_the_folder(text: str) -> None:
    assert validators.validate_relative_file(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "/etc/passwd",
        "~/x",
        "..",
        "../x",
        "a/../../x",
        "C:\\x",
        "c:/x",
        "a\\b",
        "https://h/x",
        "a\nb",
    ],
)
def test_paths_outside_the_folder_are_refused(text: str) -> None:
    refusal(validators.validate_relative_file, text)


@pytest.mark.parametrize(
    "url",
    [
        "https://host/simple",
        "http://localhost:8080/simple",
        "https://user:${TEAM_TOKEN}@host/simple",
        "https://${USER}:${TEAM_TOKEN}@${HOST}:${PORT}/simple",
        "${TEAM_INDEX}",
        "file:///content/wheels",
    ],
)
def test_index_urls(url: str) -> None:
    assert validators.validate_index_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host/simple",
        "ftp://host/x",
        "https://",
        "https://[::1",
        "https://host:port/",
        "https://a b/",
        "file://wheels",
        "https://user:secret-word@host/",
        "https://u:x${A}@host/",
        "https://$TOKEN@host/",
        "javascript:x",
        "https://host/\x07",
    ],
)
def test_invalid_index_urls_do_not_show_secrets(url: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        validators.validate_index_url(url)
    assert caught.value.context is not None
    assert caught.value.context["secret"] is True
    assert "secret-word" not in str(caught.value.context)


@pytest.mark.parametrize(
    "name", ["TF_CPP_MIN_LOG_LEVEL", "_x", "PYTHONHASHSEED", "MPLBACKEND", "KERAS_BACKEND"]
)
def test_variables_that_a_profile_may_set(name: str) -> None:
    assert validators.validate_env_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "PYTHONPATH",
        "PYTHONHOME",
        "VIRTUAL_ENV",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "PIP_TARGET",
        "UV_SYSTEM_PYTHON",
        "COLABENV_HOME",
        "CONDA_PREFIX",
        "PYTHONNOUSERSITE",
        "PYTHONSTARTUP",
    ],
)
def test_reserved_variables_are_refused_with_a_reason(name: str) -> None:
    message, _ = refusal(validators.validate_env_name, name)
    assert message.startswith("a profile cannot set {value}: ")
    assert len(message) > len("a profile cannot set {value}: ") + 10


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A=B", "A B", "É", "A\0"])
def test_invalid_variable_names(name: str) -> None:
    refusal(validators.validate_env_name, name)


@pytest.mark.parametrize("name", ["tensorflow", "tensorflow.keras.applications", "cv2", "_x"])
def test_modules(name: str) -> None:
    assert validators.validate_module_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "a.", ".a", "a..b", "a-b", "1a", "a b", "import x", "os.import", "a;b", "a\nb"]
)
def test_invalid_module_names(name: str) -> None:
    refusal(validators.validate_module_name, name)


def test_source_builds_are_named_in_one_spelling() -> None:
    assert validators.normalize_distribution("Py_coco.Tools") == "py-coco-tools"
    for text in ("", ":all:", "a==1", "-a", "a-"):
        refusal(validators.normalize_distribution, text)


def test_display_names_are_one_line() -> None:
    assert validators.validate_display_name("Vision 2023 (Keras 2)") == "Vision 2023 (Keras 2)"
    for text in ("", " ", "a\nb", "a\x1b[31m", "a" * 101):
        refusal(validators.validate_display_name, text)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "none",
            "/content/drive/MyDrive/colabenv",
            "~/store",
            "file:///srv/store",
            "gs://bucket",
            "gs://b/f",
        ),
        *(
            "s3://${BUCKET}/f",
            "abfs://box/f",
            "hf://datasets/team/store",
            "https://u:${TOKEN}@h/f",
            "http://localhost:8080/s",
            "${STORE}",
        ),
    ],
)
def test_valid_store_urls(url: str) -> None:
    assert validators.validate_store_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            " ",
            "folder",
            "./folder",
            "gs://",
            "gs:/b",
            "ftp:h/f",
            "FTP//h",
            "file://h",
            "https://u:pw@h/f",
            "s3://$B/f",
        ),
        *("/a\nb", "s3://b/\0", "https://[h/f", "C:\\store", "/" + "a" * 1000),
    ],
)
def test_invalid_store_urls(url: str) -> None:
    refusal(validators.validate_store_url, url)
