"""The probe: what it reads from folders, RECORDs and libraries, valid or not."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

from colabenv.embedded import probe

HASH = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"  # of nothing


def run_probe(*path: Path, modules: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the probe's answer after a round trip through JSON."""
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
    """Install a distribution, by default with a RECORD of its files; return its dist-info folder."""
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


def test_distribution_is_read(tmp_path: Path) -> None:
    info = install(tmp_path, "Foo_Bar", {"foo/__init__.py": "x = 1\n", "foo/data.txt": "12"})
    (info / "INSTALLER").write_text("pip\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nTag: cp311-cp311-linux_x86_64\n")
    (distribution,) = run_probe(tmp_path)["distributions"]
    expected = {
        "name": "Foo_Bar",
        "version": "1.0",
        "installer": "pip",
        "tags": ["cp311-cp311-linux_x86_64"],
        "modules": ["foo"],
        "missing": [],
        "altered": [],
        "damaged": [],
        "files": 2,
    }
    assert {field: distribution[field] for field in expected} == expected


def test_missing_empty_truncated_and_edited_files_are_listed(tmp_path: Path) -> None:
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


def test_truncated_libraries_are_not_whole(tmp_path: Path) -> None:
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
            (b"\x7fELF\x01\x01" + b"\0" * 100, True),  # the tables of 32-bit libraries are not read
        )
    ):
        path = tmp_path / f"{number}.so"
        path.write_bytes(content)
        assert probe.is_whole_library(str(path), len(content)) is expected, number


def test_quoted_paths_in_record_are_read(tmp_path: Path) -> None:
    paths = ["a/__init__.py", "a/x,y.py", 'a/say "hi".py', 'a/",".py']
    for name, terminator in (("crlf", "\r\n"), ("lf", "\n")):
        site = tmp_path / name
        info = install(site, "a", dict.fromkeys(paths, "1\n"))
        with (info / "RECORD").open("w", newline="") as file:
            csv.writer(file, lineterminator=terminator).writerows([path, HASH, 2] for path in paths)
        (distribution,) = run_probe(site)["distributions"]
        read = (distribution["files"], distribution["missing"], distribution["altered"])
        assert read == (4, [], []), name
        for path in paths[1:]:
            (site / path).unlink()
        (distribution,) = run_probe(site)["distributions"]
        assert distribution["missing"] == paths[1:], name


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


def test_link_loops_broken_links_and_pipes_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop.dist-info").symlink_to(tmp_path / "loop.dist-info")
    Path(os.fsdecode(bytes(tmp_path) + b"/odd\xff.dist-info")).mkdir()
    info = install(tmp_path, "pipe", {})
    (info / "METADATA").unlink()
    os.mkfifo(info / "METADATA")  # opening it would block
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


def test_egg_on_the_path_is_read(tmp_path: Path) -> None:
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


def test_leftovers_of_an_interrupted_pip_are_listed(tmp_path: Path) -> None:
    install(tmp_path, "idna", {"idna/__init__.py": "1"}).rename(tmp_path / "~dna-1.0.dist-info")
    (tmp_path / "idna").rename(tmp_path / "~dna")
    answer = run_probe(tmp_path)
    assert answer["distributions"] == []
    assert answer["leftovers"] == [str(tmp_path / "~dna"), str(tmp_path / "~dna-1.0.dist-info")]
    assert [distribution["name"] for distribution in answer["removed"]] == ["idna"]


def test_overlap_names_the_owner_of_the_file_on_disk(tmp_path: Path) -> None:
    install(tmp_path, "a", {"x/m.py": "a", "x/doc.txt": "a"})
    install(tmp_path, "b", {"x/m.py": "", "x/doc.txt": ""}, record=f"x/m.py,{HASH},0\nx/doc.txt,{HASH},0\n")
    (overlap,) = run_probe(tmp_path)["overlaps"]
    assert overlap == {"path": f"{tmp_path}/x/m.py", "owners": [0, 1], "on_disk": [1], "hashed": True}


def test_namespace_packages_do_not_overlap(tmp_path: Path) -> None:
    for number, text in enumerate(
        (
            "",
            "# nothing\n",
            "__import__('pkg_resources').declare_namespace(__name__)\n",
            "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n",
        )
    ):
        site = tmp_path / str(number)
        install(site, "a", {"google/__init__.py": "old"})
        install(site, "b", {"google/__init__.py": text})
        assert run_probe(site)["overlaps"] == [], text


def test_modules_are_listed_in_the_order_of_the_import_system(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first / "keras", second / "keras", first / "m"):
        folder.mkdir(parents=True)
    (second / "keras" / "__init__.py").write_text("")
    (first / "m.py").write_text("")
    (second / "x.cpython-311-x86_64-linux-gnu.so").write_text("")
    modules = run_probe(first, second, modules=("keras", "m", "x", "absent"))["modules"]
    assert [location["kind"] for location in modules["keras"]] == ["package", "namespace"]
    assert [location["kind"] for location in modules["m"]] == ["module"]
    assert modules["x"][0]["kind"] == "extension"
    assert "absent" not in modules


def test_relative_entries_of_the_path_start_at_the_working_directory(tmp_path: Path) -> None:
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
