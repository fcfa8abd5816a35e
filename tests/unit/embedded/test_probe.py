"""The probe: what it reads from folders, RECORDs and libraries, and that nothing in them stops it."""

from __future__ import annotations

import ast
import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest

from colabenv.embedded import probe

HASH = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"  # of nothing


def run_probe(*path: Path, modules: tuple[str, ...] = ()) -> dict[str, Any]:
    """The probe's answer, as it travels."""
    request = {
        "path": [str(entry) for entry in path],
        "prefix": "/env",
        "base_prefix": "/usr",
        "cwd": str(path[0]),
        "modules": list(modules),
    }
    answer = json.loads(json.dumps(probe.answer(request)))
    assert isinstance(answer, dict)
    return answer


def install(
    site: Path, name: str, files: dict[str, str], version: str = "1.0", record: str | None = None
) -> Path:
    """A distribution with a RECORD of its files."""
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nNo-Header: x\n"
    )
    lines = []
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
        lines.append(f"{path},{HASH[:-1]}{abs(hash((name, text))) % 10},{len(text)}")
    (info / "RECORD").write_text("\n".join(lines) if record is None else record)
    return info


def test_source_is_python_3_6() -> None:
    ast.parse(Path(probe.__file__).read_text(encoding="utf-8"), feature_version=(3, 6))


def test_distribution_fields(tmp_path: Path) -> None:
    info = install(tmp_path, "Foo_Bar", {"foo/__init__.py": "x = 1\n", "foo/data.txt": "12"})
    (info / "INSTALLER").write_text("pip\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nTag: cp311-cp311-linux_x86_64\n")
    (distribution,) = run_probe(tmp_path)["distributions"]
    assert (distribution["name"], distribution["version"], distribution["installer"]) == (
        "Foo_Bar",
        "1.0",
        "pip",
    )
    assert distribution["tags"] == ["cp311-cp311-linux_x86_64"]
    assert distribution["modules"] == ["foo"]
    assert (
        distribution["missing"],
        distribution["altered"],
        distribution["damaged"],
        distribution["files"],
    ) == ([], [], [], 2)


def test_missing_empty_truncated_and_edited_files(tmp_path: Path) -> None:
    files = dict.fromkeys(("a/gone.py", "a/empty.py", "a/cut.py", "a/edited.py"), "def f():\n    return 1\n")
    install(tmp_path, "a", files)
    (tmp_path / "a/gone.py").unlink()
    (tmp_path / "a/empty.py").write_text("")
    (tmp_path / "a/cut.py").write_text("def f():\n    ret(")
    (tmp_path / "a/edited.py").write_text("def f(): ...\n")
    (distribution,) = run_probe(tmp_path)["distributions"]
    assert distribution["missing"] == ["a/gone.py"]
    assert [path for path, _, _ in distribution["altered"]] == ["a/empty.py", "a/cut.py", "a/edited.py"]
    assert distribution["damaged"] == [["a/empty.py", "empty"], ["a/cut.py", "truncated"]]


def test_truncated_libraries(tmp_path: Path) -> None:
    real = next(Path(os.__file__).with_name("lib-dynload").glob("*.so"))
    data = real.read_bytes()
    for number, (content, expected) in enumerate(
        (
            (data, True),
            (data[: len(data) // 2], False),
            (data[:100], False),
            (data[:10], False),
            (b"\0" * len(data), False),
            (b"/* GNU ld script */\nINPUT(libfoo.so.1)\n", True),
            (b"\x7fELF\x01\x01" + b"\0" * 100, True),  # 32 bits: its tables are not read
        )
    ):
        path = tmp_path / f"{number}.so"
        path.write_bytes(content)
        assert probe.is_whole_library(str(path), len(content)) is expected, number


@pytest.mark.parametrize("terminator", ["\r\n", "\n"])
def test_quoted_paths_in_record(tmp_path: Path, terminator: str) -> None:
    paths = ["a/__init__.py", "a/x,y.py", 'a/say "hi".py', 'a/",".py']
    info = install(tmp_path, "a", dict.fromkeys(paths, "1\n"))
    with (info / "RECORD").open("w", newline="") as file:
        csv.writer(file, lineterminator=terminator).writerows([path, HASH, 2] for path in paths)
    (distribution,) = run_probe(tmp_path)["distributions"]
    assert (distribution["files"], distribution["missing"], distribution["altered"]) == (4, [], [])
    for path in paths[1:]:
        (tmp_path / path).unlink()
    (distribution,) = run_probe(tmp_path)["distributions"]
    assert distribution["missing"] == paths[1:]


def test_invalid_lines_of_record_are_skipped(tmp_path: Path) -> None:
    record = (
        f'a/x.py,{HASH},1\nno commas\nb,c\na/\0.py,,\n"open,{HASH},3\n\x1b\udcff{"y" * 200_000},,\n'.encode(
            "utf-8", "surrogateescape"
        )
    )
    info = install(tmp_path, "a", {}, record="")
    (info / "RECORD").write_bytes(record)
    (info / "METADATA").write_bytes(b"\xff\xfe\0Name\n: \n")
    (distribution,) = run_probe(tmp_path)["distributions"]
    assert distribution["missing"][0] == "a/x.py"
    assert distribution["name"] == "a"


def test_link_loops_broken_links_and_pipes(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop.dist-info").symlink_to(tmp_path / "loop.dist-info")
    Path(os.fsdecode(bytes(tmp_path) + b"/odd\xff.dist-info")).mkdir()
    info = install(tmp_path, "pipe", {})
    (info / "METADATA").unlink()
    os.mkfifo(info / "METADATA")  # opening it would wait for ever
    answer = run_probe(
        tmp_path, tmp_path / "loop", tmp_path / "no" / "folder", Path("/dev/null"), Path("a\0b")
    )
    names = {distribution["name"] for distribution in answer["distributions"]}
    assert "pipe" in names
    assert not any(distribution["has_metadata"] for distribution in answer["distributions"])


def test_files_and_folders_are_not_confused(tmp_path: Path) -> None:
    (tmp_path / "old.egg-info").write_text("Name: old\nVersion: 2\n")
    (tmp_path / "new-1.dist-info").write_text("")
    (tmp_path / "folder.py").mkdir()
    answer = run_probe(tmp_path, modules=("folder",))
    assert [(distribution["name"], distribution["version"]) for distribution in answer["distributions"]] == [
        ("new", "1"),
        ("old", "2"),
    ]
    assert "folder" not in answer["modules"]


def test_eggs_on_the_path(tmp_path: Path) -> None:
    egg = tmp_path / "thing-1.2-py3.6.egg"
    (egg / "EGG-INFO").mkdir(parents=True)
    (egg / "EGG-INFO" / "PKG-INFO").write_text("Name: thing\nVersion: 1.2\n")
    (egg / "EGG-INFO" / "requires.txt").write_text("six>=1\n\n[extra]\nnumpy\n")
    (distribution,) = run_probe(egg)["distributions"]
    assert (distribution["name"], distribution["version"], distribution["requires"]) == (
        "thing",
        "1.2",
        ["six>=1"],
    )


def test_leftovers_of_an_interrupted_pip(tmp_path: Path) -> None:
    install(tmp_path, "idna", {"idna/__init__.py": "1"}).rename(tmp_path / "~dna-1.0.dist-info")
    (tmp_path / "idna").rename(tmp_path / "~dna")
    answer = run_probe(tmp_path)
    assert answer["distributions"] == []
    assert answer["leftovers"] == [str(tmp_path / "~dna"), str(tmp_path / "~dna-1.0.dist-info")]
    assert [distribution["name"] for distribution in answer["removed"]] == ["idna"]


def test_overlap_names_the_owner_on_disk(tmp_path: Path) -> None:
    install(tmp_path, "a", {"x/m.py": "a", "x/doc.txt": "a"})
    install(tmp_path, "b", {"x/m.py": "", "x/doc.txt": ""}, record=f"x/m.py,{HASH},0\nx/doc.txt,{HASH},0\n")
    (overlap,) = run_probe(tmp_path)["overlaps"]
    assert overlap == {"path": f"{tmp_path}/x/m.py", "owners": [0, 1], "on_disk": [1], "hashed": True}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "__import__('pkg_resources').declare_namespace(__name__)\n",
        "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n",
    ],
)
def test_namespace_packages_do_not_overlap(tmp_path: Path, text: str) -> None:
    install(tmp_path, "a", {"google/__init__.py": "old"})
    install(tmp_path, "b", {"google/__init__.py": text})
    assert run_probe(tmp_path)["overlaps"] == []


def test_modules_in_the_order_of_the_import_system(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first / "keras", second / "keras", first / "m"):
        folder.mkdir(parents=True)
    (second / "keras" / "__init__.py").write_text("")
    (first / "m.py").write_text("")
    (second / "x.cpython-311-x86_64-linux-gnu.so").write_text("")
    distribution = run_probe(first, second, modules=("keras", "m", "x", "absent"))["modules"]
    assert [place["kind"] for place in distribution["keras"]] == ["package", "namespace"]
    assert [place["kind"] for place in distribution["m"]] == ["module"]
    assert distribution["x"][0]["kind"] == "extension"
    assert "absent" not in distribution


def test_relative_entries_start_at_the_working_directory(tmp_path: Path) -> None:
    request = {
        "path": ["", "../lib"],
        "prefix": "/e",
        "base_prefix": "/e",
        "cwd": str(tmp_path / "w"),
        "modules": [],
    }
    assert probe.answer(request)["path"] == [str(tmp_path / "w"), str(tmp_path / "lib")]


def test_headers_end_at_an_empty_line() -> None:
    text = "Name: a\nLicense: BSD\n        \n        Copyright: all: of it\nRequires-Dist: b\r\n\r\nRequires-Dist: c\n"
    assert probe.headers(text) == {"name": ["a"], "license": ["BSD"], "requires-dist": ["b"]}
