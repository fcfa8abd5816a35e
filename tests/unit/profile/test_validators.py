"""Which single values of a profile are valid, and the errors for those that are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic_core import PydanticCustomError

from colabenv.profile import validators
from colabenv.profile.validators import parse_specifier

Validate = Callable[[str], str]


def error_context(validate: Validate, text: str) -> dict[str, Any]:
    """The details of the error for an invalid value."""
    try:
        validate(text)
    except PydanticCustomError as error:
        assert error.context is not None
        return error.context
    pytest.fail(f"{text!r} is not refused")


def validation_error(validate: Validate, text: str) -> tuple[str, str]:
    """Message and hint of the error for an invalid value."""
    context = error_context(validate, text)
    return context["problem"], context["hint"]


def result(validate: Validate, text: str) -> str | None:
    """The validated value, or None if it is refused."""
    try:
        return validate(text)
    except PydanticCustomError:
        return None


def find_refused(validate: Validate, texts: list[str]) -> list[str]:
    """Those of `texts` that are refused or changed."""
    return [text for text in texts if result(validate, text) != text]


def find_accepted(validate: Validate, texts: list[str]) -> list[str]:
    """Those of `texts` that are accepted."""
    return [text for text in texts if result(validate, text) is not None]


def test_valid_profile_names() -> None:
    names = ["a", "vision-2023", "0", "tf_2.15", "a" * 63, "console", "base2"]
    assert find_refused(validators.validate_profile_name, names) == []


def test_invalid_profile_names() -> None:
    names = [
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
    ]
    names += ["con", "nul.txt", "com1", "lpt9.x", "base", "١"]
    assert find_accepted(validators.validate_profile_name, names) == []


def test_invalid_profile_name_suggests_a_valid_one() -> None:
    assert (
        validation_error(validators.validate_profile_name, "Visión 2023!")[1] == "Did you mean 'vision-2023'?"
    )
    assert validation_error(validators.validate_profile_name, "../../x")[1] == "Did you mean 'x'?"


def test_valid_python_versions() -> None:
    versions = ["3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.10.13", "3.12.0"]
    assert find_refused(validators.validate_python, versions) == []


def test_invalid_python_version_lists_the_valid_ones() -> None:
    for text in ("", "3", "3.1", "3.6", "3.15", "2.7", "3.10.", "3.10.x", "3.10.133", "latest", "٣.١٠"):
        _, hint = validation_error(validators.validate_python, text)
        assert "3.7, 3.8, 3.9, 3.10, 3.11, 3.12, 3.13, 3.14" in hint, text


def test_python_version_in_another_form_is_corrected() -> None:
    for text in ("python3.10", ">=3.10", "py 3.10", "==3.10.*"):
        assert validation_error(validators.validate_python, text)[1].startswith('Did you mean "3.10"?'), text


def test_parse_specifier() -> None:
    specifiers = {
        "2.15.1": "==2.15.1",
        "2.15": "==2.15.*",
        "2": "==2.*",
        "2.15.*": "==2.15.*",
        "2.16.0rc0": "==2.16.0rc0",
        "2.16rc0": "==2.16rc0",
        ">=2.15,<2.16": "<2.16,>=2.15",
        " ~= 2.15.0 ": "~=2.15.0",
        "!=2.15.0, >=2.14": "!=2.15.0,>=2.14",
    }
    assert {text: parse_specifier(text) for text in specifiers} == specifiers


def test_invalid_versions() -> None:
    for text in ("", " ", ",", "latest", "2.15,<3", "2.x", "v", ">=", "*", "1" * 201, "²"):
        assert ">=2.15,<2.16" in validation_error(validators.validate_version, text)[1], text


def test_requirement_is_normalized() -> None:
    requirements = {
        "Pandas == 2.1.4": "pandas==2.1.4",
        "opencv_python.headless": "opencv-python-headless",
        "ray[tune,Default] >=2, <3": "ray[Default,tune]<3,>=2",
        "x; python_version>='3.9'": 'x ; python_version >= "3.9"',
        "x (>=1)": "x>=1",
    }
    for text, normalized in requirements.items():
        assert validators.normalize_requirement(text) == normalized
        assert validators.normalize_requirement(normalized) == normalized


def test_invalid_requirements() -> None:
    messages = {
        "x @ https://host/x.whl": "from URLs",
        "x@https://host/x.whl": "from URLs",
        "https://host/x.whl": "from URLs",
        "git+ssh://git@host/x": "from URLs",
        "git+x": "from URLs",
        "./x": "files and folders",
        "/x": "files and folders",
        "x-1.0-py3-none-any.whl": "files and folders",
        "-e .": "pip option",
        "--pre": "pip option",
        "": "invalid requirement",
        "a b c": "invalid requirement",
        "a" * 1001: "too long",
        "a; " + "(" * 500 + "x": "too long or too deeply",
    }
    for text, message in messages.items():
        assert message in validation_error(validators.normalize_requirement, text)[0], text


def test_single_equals_sign_suggests_two() -> None:
    for text in ("pandas=2.1", "pandas 2.1", "pandas = 2.1"):
        _, hint = validation_error(validators.normalize_requirement, text)
        assert hint == 'Did you mean "pandas==2.1"?', text


def test_paths_inside_the_folder() -> None:
    paths = ["requirements.txt", "sub/r.txt", "sub/../r.txt", "./r.txt", "a b.txt"]
    assert find_refused(validators.validate_relative_file, paths) == []


def test_paths_outside_the_folder() -> None:
    paths = [
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
    ]
    assert find_accepted(validators.validate_relative_file, paths) == []


def test_valid_index_urls() -> None:
    urls = [
        "https://host/simple",
        "http://localhost:8080/simple",
        "https://user:${TEAM_TOKEN}@host/simple",
        "https://${USER}:${TEAM_TOKEN}@${HOST}:${PORT}/simple",
        "${TEAM_INDEX}",
        "file:///content/wheels",
    ]
    assert find_refused(validators.validate_index_url, urls) == []


def test_invalid_index_url_is_refused_without_showing_secrets() -> None:
    for url in (
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
    ):
        context = error_context(validators.validate_index_url, url)
        assert context["secret"] is True, url
        assert "secret-word" not in str(context), url


def test_valid_variable_names() -> None:
    names = ["TF_CPP_MIN_LOG_LEVEL", "_x", "PYTHONHASHSEED", "MPLBACKEND", "KERAS_BACKEND"]
    assert find_refused(validators.validate_env_name, names) == []


def test_reserved_variable_is_refused_with_a_reason() -> None:
    names = ["PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_PRELOAD", "LD_LIBRARY_PATH", "PIP_TARGET"]
    names += ["UV_SYSTEM_PYTHON", "COLABENV_HOME", "CONDA_PREFIX", "PYTHONNOUSERSITE", "PYTHONSTARTUP"]
    beginning = "a profile cannot set {value}: "
    for name in names:
        message, _ = validation_error(validators.validate_env_name, name)
        assert message.startswith(beginning), name
        assert len(message) > len(beginning) + 10, name


def test_invalid_variable_names() -> None:
    names = ["", "1A", "A-B", "A=B", "A B", "É", "A\0"]
    assert find_accepted(validators.validate_env_name, names) == []


def test_valid_module_names() -> None:
    names = ["tensorflow", "tensorflow.keras.applications", "cv2", "_x"]
    assert find_refused(validators.validate_module_name, names) == []


def test_invalid_module_names() -> None:
    names = ["", ".", "a.", ".a", "a..b", "a-b", "1a", "a b", "import x", "os.import", "a;b", "a\nb"]
    assert find_accepted(validators.validate_module_name, names) == []


def test_source_build_is_a_normalized_distribution_name() -> None:
    assert validators.normalize_distribution("Py_coco.Tools") == "py-coco-tools"
    assert find_accepted(validators.normalize_distribution, ["", ":all:", "a==1", "-a", "a-"]) == []


def test_display_name_is_one_line_of_text() -> None:
    assert validators.validate_display_name("Vision 2023 (Keras 2)") == "Vision 2023 (Keras 2)"
    names = ["", " ", "a\nb", "a\x1b[31m", "a" * 101]
    assert find_accepted(validators.validate_display_name, names) == []


def test_valid_store_urls() -> None:
    urls = [
        "none",
        "/content/drive/MyDrive/colabenv",
        "~/store",
        "file:///srv/store",
        "gs://bucket",
        "gs://b/f",
    ]
    urls += ["s3://${BUCKET}/f", "abfs://box/f", "hf://datasets/team/store", "https://u:${TOKEN}@h/f"]
    urls += ["http://localhost:8080/s", "${STORE}"]
    assert find_refused(validators.validate_store_url, urls) == []


def test_invalid_store_urls() -> None:
    urls = [
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
    ]
    urls += ["s3://$B/f", "/a\nb", "s3://b/\0", "https://[h/f", "C:\\store", "/" + "a" * 1000]
    assert find_accepted(validators.validate_store_url, urls) == []
