"""`init`: what it reads, writes and refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from colabenv.commands.context import Context
from colabenv.commands.init import create_starter, init
from colabenv.errors import DiskError, NetworkError, UsageError
from colabenv.output.init import InitResult
from colabenv.profile.load import load
from support.index_server import Index

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "init"


def run(folder: Path, source: str | None, output: str = "", force: bool = False) -> InitResult:
    context = Context({"HOME": str(folder), "COLABENV_HOME": str(folder / "home"), "PATH": "/usr/bin"})
    path = str(folder / source) if source is not None else None
    return init(context, path, output=output and str(folder / output), force=force)


def usage_error(folder: Path, source: str, output: str = "") -> str:
    """Return the message of the UsageError that `init` raises, or "" if it raises none."""
    try:
        run(folder, source, output)
    except UsageError as error:
        return error.message
    return ""


def read_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    for path in SAMPLES.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_each_kind_of_source_becomes_a_profile(samples: Path) -> None:
    before = read_files(samples)
    for source, profile, tensorflow in (
        ("lesson-2021.ipynb", "lesson-2021.yaml", "2.4"),
        ("contrib-2018.ipynb", "contrib-2018.yaml", "1.15.2"),
        ("transfer-2023.ipynb", "transfer-2023.yaml", "2.15.0"),
        ("torch-2024.ipynb", "torch-2024.yaml", None),
        ("requirements.txt", "profile.yaml", "2.8.0"),
        ("pyproject.toml", "profile.yaml", "2.15"),
        ("poetry.toml", "profile.yaml", "2.13"),
        ("environment.yml", "profile.yaml", "2.6"),
        ("conda-export.yml", "profile.yaml", "2.4.1"),
    ):
        result = run(samples, source)
        assert result.profile == str(samples / profile), source
        loaded = load(result.profile).profile
        assert (loaded.name, loaded.stack.tensorflow) == (result.name, tensorflow), source
        after = read_files(samples)
        assert after.pop(profile).decode() == result.text, source
        assert after == before, source
        assert result.lines()[0].startswith("✓ "), source
        assert result.lines()[-1] == f"Next: colabenv up {samples / profile}", source
        assert json.loads(json.dumps(result.as_dict()))["name"] == result.name, source
        (samples / profile).unlink()


def test_profile_of_a_notebook_from_2021(samples: Path) -> None:
    loaded = load(run(samples, "lesson-2021.ipynb").profile).profile
    assert (loaded.python, loaded.as_of, loaded.source_builds) == ("3.8", "2021-03-15", ("wget",))
    assert loaded.stack.accelerator == "cpu"
    assert loaded.packages == (
        *("tensorflow-hub", "wget==3.2", "numpy==1.19.5", "pandas", "matplotlib", "scikit-learn"),
        *("opencv-python-headless", "pydot"),
    )


def test_included_requirements_files_are_read_and_passwords_left_out(samples: Path) -> None:
    result = run(samples, "requirements.txt")
    loaded = load(result.profile).profile
    assert loaded.packages[:3] == ("matplotlib<3.6", "seaborn", 'tqdm ; python_version >= "3.6"')
    assert "not-a-real-token" not in result.text
    assert [index.url for index in loaded.indexes] == [
        "https://reader:${WHEELS_TOKEN}@wheels.example.com/simple"
    ]


def test_versions_that_conflict_on_a_gpu_get_accelerator_cpu(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("tensorflow==2.17.0\njax==0.4.30\n")
    result = run(tmp_path, "requirements.txt")
    assert load(result.profile).profile.stack.accelerator == "cpu"
    assert "do not work together on a GPU" in result.notes[0]


def test_conflicting_versions_are_noted(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("tensorflow==2.15.1\ntensorflow-text==2.8.2\n")
    result = run(tmp_path, "requirements.txt")
    assert result.notes[0].startswith("This profile cannot work yet: ")
    assert "tensorflow-text" in result.notes[0]


def test_files_outside_the_folder_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("hidden-package\n")
    inner = tmp_path / "course"
    inner.mkdir()
    (inner / "link.txt").symlink_to(tmp_path / "secret.txt")
    (inner / "requirements.txt").write_text(
        "-r ../secret.txt\n-r link.txt\n-r /etc/hostname\n-c ../x\n-r requirements.txt\nsix\n"
    )
    result = run(inner, "requirements.txt")
    assert "hidden-package" not in result.text
    assert result.left_out == ("../secret.txt", "link.txt", "/etc/hostname", "../x")
    assert load(result.profile).profile.packages == ("six",)


def test_requirements_file_installed_by_a_notebook_is_read(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("pandas==1.5.3\n")
    cell = {
        "cell_type": "code",
        "metadata": {},
        "outputs": [],
        "source": "!pip install -r /content/requirements.txt",
    }
    (tmp_path / "a.ipynb").write_text(
        json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 0})
    )
    assert load(run(tmp_path, "a.ipynb").profile).profile.packages == ("pandas==1.5.3",)


def test_existing_profile_is_overwritten_only_with_force(samples: Path) -> None:
    (samples / "profile.yaml").write_text("mine")
    before = read_files(samples)
    with pytest.raises(UsageError) as caught:
        run(samples, "requirements.txt")
    assert "already exists" in caught.value.message
    assert "--force" in caught.value.hint
    assert read_files(samples) == before
    run(samples, "requirements.txt", output="other.yaml")
    run(samples, "requirements.txt", force=True)
    assert (samples / "profile.yaml").read_text() == (samples / "other.yaml").read_text()


def test_broken_link_is_not_overwritten(samples: Path) -> None:
    (samples / "profile.yaml").symlink_to("gone")
    with pytest.raises(UsageError, match="already exists"):
        run(samples, "requirements.txt")


def test_only_source_of_a_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("six\n")
    (tmp_path / "x.cpu.lock.txt").write_text("six==1\n")
    assert run(tmp_path, "").profile == str(tmp_path / "profile.yaml")


def test_folder_with_several_sources_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="contains nothing"):
        run(tmp_path, "")
    (tmp_path / "requirements.txt").write_text("six\n")
    (tmp_path / "a.ipynb").write_text("{}")
    with pytest.raises(UsageError) as caught:
        run(tmp_path, "")
    assert "a.ipynb" in caught.value.message
    assert "colabenv init" in caught.value.hint


def test_starter_profile_is_valid_and_not_overwritten(tmp_path: Path) -> None:
    # `init` without a source would find the pyproject.toml of the working directory.
    result = create_starter(str(tmp_path / "my course" / "p.yaml"), force=False)
    assert load(result.profile).profile.name == "my-course"
    assert result.lines()[-1].startswith("Next: colabenv check '")
    with pytest.raises(UsageError, match="already exists"):
        create_starter(result.profile, force=False)


def test_unreadable_source_writes_nothing(tmp_path: Path) -> None:
    for name, content, message in (
        ("a.ipynb", b"", "is not a notebook"),
        ("a.ipynb", b"\x00\x01", "NUL byte"),
        ("a.ipynb", b"\xff\xff\xff", "not UTF-8"),
        ("a.ipynb", b'{"nbformat": 3}', "old notebook format 3"),
        ("a.ipynb", b"[" * 100_000, "nested too deeply"),
        ("requirements.txt", b"six\x00", "NUL byte"),
        ("requirements.txt", b"a" * 2_000_001, "2 MB"),
        ("environment.yml", b"[" * 100_000, "too deeply nested"),
        ("pyproject.toml", b"x", "is not valid TOML"),
        ("p.yaml", b"stack: {tensorflow: 2.15}\n", "not a conda environment file"),
        ("setup.py", b"import os", "does not support setup.py"),
        ("a.py", b"import os", "does not support this kind of file"),
        ("a", b"", "does not support this kind of file"),
    ):
        (tmp_path / name).write_bytes(content)
        before = read_files(tmp_path)
        assert message in usage_error(tmp_path, name, "out.yaml"), f"{name}: {content[:20]!r}"
        assert read_files(tmp_path) == before, name


def test_utf_16_requirements_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes("six==1.16.0\r\n".encode("utf-16"))
    assert load(run(tmp_path, "requirements.txt").profile).profile.packages == ("six==1.16.0",)


def test_missing_source_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "here.ipynb").write_text("{}")
    for source in ("gone.ipynb", "a\0b.txt"):
        assert usage_error(tmp_path, source), source


def test_named_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "r.txt")
    with pytest.raises(UsageError, match="not a file"):
        run(tmp_path, "r.txt")


def test_invalid_output_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("six\n")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "requirements.yml").mkdir()
    for output in ("a.txt", "requirements.yml/", "folder.yaml"):
        assert usage_error(tmp_path, "r.txt", output), output


def test_source_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text("dependencies: [six]\n")
    with pytest.raises(UsageError, match="the source itself"):
        run(tmp_path, "environment.yml", output="environment.yml", force=True)


def test_unwritable_output_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("six\n")
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError) as caught:
        run(tmp_path, "r.txt", output="file/p.yaml")
    assert "-o FILE" in caught.value.hint


def test_source_at_an_address_becomes_a_profile_in_this_folder(samples: Path) -> None:
    context = Context({"HOME": str(samples), "COLABENV_HOME": str(samples / "home"), "PATH": "/usr/bin"})
    target = samples / "written.yaml"
    with Index() as site:
        for path, name in {
            "/course/lesson-2021.ipynb": "lesson-2021.ipynb",
            "/course/raw": "lesson-2021.ipynb",
            "/requirements.txt": "requirements.txt",
        }.items():
            site.extra_files[path] = (SAMPLES / name).read_bytes()
            result = init(context, f"{site.site}{path}", output=str(target), force=True)
            assert result.source == f"{site.site}{path}"
            assert load(target).profile.stack.tensorflow, path
        with pytest.raises(NetworkError, match="does not match"):
            init(context, f"{site.site}/requirements.txt#sha256={'0' * 64}", output=str(target), force=True)
        with pytest.raises(NetworkError, match="Not Found"):
            init(context, f"{site.site}/gone.ipynb", output=str(target), force=True)
