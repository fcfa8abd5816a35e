"""The commands that run uv and pip, the errors for their failures, and the selection between the two."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from colabenv.environment.installers.base import Installer, Job
from colabenv.environment.installers.pip import PipInstaller, read_fetch_errors
from colabenv.environment.installers.select import find_uv, select_installer
from colabenv.environment.installers.uv import UvInstaller
from colabenv.errors import (
    CorruptError,
    InstallError,
    InterpreterError,
    MachineError,
    NetworkError,
    UnsatisfiableError,
    UsageError,
)
from colabenv.host.interpreters import Interpreter
from colabenv.lock.lockfile import Header, Lock, Pin
from colabenv.lock.request import ResolveRequest
from colabenv.system.process import BackgroundProcess, CompletedProcess, Runner
from colabenv.system.workspace import Workspace
from support.runner import RecordedRunner

UV = Path("/venv/bin/uv")
PINS = (Pin("numpy", "1.26.4", ("sha256:0a", "sha256:0b")), Pin("pip", "25.0", ("sha256:0c",)))
LOCK = Lock(Header("demo", "0" * 64, "3.11", "cpu", "colab", ""), PINS)
TEAM = (("team", "https://bob:hunter22@host/simple"),)
REQUEST = ResolveRequest(
    ("numpy<2",),
    ("setuptools<81",),
    "3.11",
    Path("/usr/bin/python3.11"),
    "x86_64-manylinux_2_35",
    ("cocotools",),
    TEAM,
)


@dataclass
class WritingRunner:
    """A runner that calls a function instead of starting a program, for example to write an output file."""

    act: Callable[[tuple[str, ...]], CompletedProcess]
    calls: list[tuple[tuple[str, ...], dict[str, str]]] = field(default_factory=list)

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,  # noqa: ARG002 - part of the protocol
        timeout: float | None = None,  # noqa: ARG002
    ) -> CompletedProcess:
        self.calls.append((tuple(argv), dict(env)))
        return self.act(tuple(argv))

    def watch(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        on_output: Callable[[str], None],
        cwd: Path | None = None,  # noqa: ARG002 - part of the protocol
    ) -> CompletedProcess:
        answer = self.run(argv, env=env)
        on_output(answer.output)
        return answer

    def start(self, argv: Sequence[str], *, env: Mapping[str, str]) -> BackgroundProcess:
        raise AssertionError(f"installers start nothing in the background: {argv}, {env}")


def option(argv: Sequence[str], flag: str) -> str:
    return argv[argv.index(flag) + 1]


def job(prefix: Path) -> Job:
    return Job(
        LOCK, Interpreter(Path("/usr/bin/python3.11"), "3.11.7", "on PATH"), prefix, ("cocotools",), TEAM
    )


def exits(
    returncode: int, output: str = "", errors: str = ""
) -> Callable[[tuple[str, ...]], CompletedProcess]:
    return lambda argv: CompletedProcess(argv, returncode, output, errors)


def workspace(tmp_path: Path, runner: Runner, **variables: str) -> Workspace:
    environ = {"HOME": str(tmp_path), "COLABENV_HOME": str(tmp_path / "home"), "PATH": "/usr/bin"}
    return Workspace({**environ, **variables}, runner=runner)


def uv(
    act: Callable[[tuple[str, ...]], CompletedProcess], tmp_path: Path
) -> tuple[UvInstaller, WritingRunner]:
    runner = WritingRunner(act)
    return UvInstaller(UV, workspace(tmp_path, runner, UV_SYSTEM_PYTHON="true")), runner


def pip(
    act: Callable[[tuple[str, ...]], CompletedProcess], tmp_path: Path
) -> tuple[PipInstaller, WritingRunner]:
    runner = WritingRunner(act)
    return PipInstaller(workspace(tmp_path, runner, PIP_USER="1"), "a reason"), runner


def test_uv_resolves_for_another_platform_and_uses_only_wheels(tmp_path: Path) -> None:
    files: dict[str, str] = {}

    def compile_(argv: tuple[str, ...]) -> CompletedProcess:
        files["requirements"] = Path(argv[3]).read_text()
        files["constraints"] = Path(option(argv, "--constraints")).read_text()
        Path(option(argv, "--output-file")).write_text(
            "pip==25.0 \\\n    --hash=sha256:0c\nNumPy==1.26.4 --hash=sha256:0a\n"
        )
        return CompletedProcess(argv, 0, "")

    installer, runner = uv(compile_, tmp_path)
    assert [pin.name for pin in installer.resolve(REQUEST)] == ["numpy", "pip"]
    assert files == {"requirements": "numpy<2\n", "constraints": "setuptools<81\n"}
    argv, env = runner.calls[0]
    assert argv[:3] == (str(UV), "pip", "compile")
    assert option(argv, "--python-version") == "3.11"
    assert option(argv, "--python-platform") == "x86_64-manylinux_2_35"
    assert {"--only-binary=:all:", "--no-binary=cocotools"} <= set(argv)
    assert not any("hunter22" in argument for argument in argv)
    assert env["UV_INDEX"] == "team=https://bob:hunter22@host/simple"
    assert "UV_SYSTEM_PYTHON" not in env


def test_uv_prefers_the_versions_of_the_old_lock(tmp_path: Path) -> None:
    preferences: list[str] = []

    def compile_(argv: tuple[str, ...]) -> CompletedProcess:
        output_file = Path(option(argv, "--output-file"))
        preferences.append(output_file.read_text())
        output_file.write_text("numpy==1.26.4 --hash=sha256:0a\n")
        return CompletedProcess(argv, 0, "")

    installer, _ = uv(compile_, tmp_path)
    request = ResolveRequest(("numpy",), (), "3.11", Path("/p"), "", (), (), preferred=PINS)
    installer.resolve(request)
    assert preferences == ["numpy==1.26.4\npip==25.0\n"]


def test_uv_excludes_later_uploads_except_exempt_packages(tmp_path: Path) -> None:
    def compile_(argv: tuple[str, ...]) -> CompletedProcess:
        Path(option(argv, "--output-file")).write_text("numpy==1.0 --hash=sha256:0a\n")
        return CompletedProcess(argv, 0, "")

    installer, runner = uv(compile_, tmp_path)
    exempt = (("ipykernel", "2023-01-31"), ("nvidia-cudnn-cu11", ""))
    installer.resolve(dataclasses.replace(REQUEST, as_of="2022-12-31", exempt=exempt))
    argv, _ = runner.calls[0]
    assert option(argv, "--exclude-newer") == "2023-01-01T00:00:00Z"
    packages = [
        argv[position + 1] for position, argument in enumerate(argv) if argument == "--exclude-newer-package"
    ]
    assert packages == ["ipykernel=2023-02-01T00:00:00Z", "nvidia-cudnn-cu11=false"]
    installer.resolve(REQUEST)
    assert not any("exclude-newer" in argument for argument in runner.calls[1][0])


def test_package_without_wheels_on_the_day_is_exempt(tmp_path: Path) -> None:
    failure = (
        "error: No solution found\nhint: Wheels are required for `termcolor` because building is disabled\n"
    )

    def compile_(argv: tuple[str, ...]) -> CompletedProcess:
        if "termcolor=false" not in argv:
            return CompletedProcess(argv, 1, "", failure)
        Path(option(argv, "--output-file")).write_text("termcolor==3.0 --hash=sha256:0a\n")
        return CompletedProcess(argv, 0, "")

    installer, runner = uv(compile_, tmp_path)
    request = dataclasses.replace(REQUEST, as_of="2022-12-31")
    assert [pin.name for pin in installer.resolve(request)] == ["termcolor"]
    assert len(runner.calls) == 2
    # Without any wheels of a day that is older than the Python, every package would be exempt.
    with pytest.raises(UnsatisfiableError):
        installer.resolve(dataclasses.replace(request, as_of="2020-12-31", python="3.11"))
    with pytest.raises(UnsatisfiableError):
        installer.resolve(REQUEST)


def test_conflict_caused_by_as_of_names_the_date_without_secrets(tmp_path: Path) -> None:
    output = (
        "error: No solution found when resolving dependencies\n\nhint: `numpy` was filtered by `exclude-newer` to only "
        "include packages uploaded before 2023-01-01T00:00:00Z. The requested version, v2.0.0, was published at "
        "2024-06-16T00:00:00Z. Consider using `exclude-newer-package`, https://bob:hunter22@host/simple\n"
    )
    installer, _ = uv(exits(1, "", output), tmp_path)
    with pytest.raises(UnsatisfiableError, match=r"numpy 2\.0\.0 came out on 2024-06-16") as caught:
        installer.resolve(dataclasses.replace(REQUEST, as_of="2022-12-31"))
    assert "hunter22" not in str(caught.value.as_dict()) + installer.workspace.log_path.read_text()


def test_pip_cannot_resolve_as_of_a_date(tmp_path: Path) -> None:
    installer, runner = pip(exits(0), tmp_path)
    with pytest.raises(MachineError, match="as of a date") as caught:
        installer.resolve(dataclasses.replace(REQUEST, as_of="2023-04-02"))
    assert "COLABENV_INSTALLER" in caught.value.hint
    assert runner.calls == []


def test_uv_installs_with_hashes(tmp_path: Path) -> None:
    locks: list[str] = []

    def act(argv: tuple[str, ...]) -> CompletedProcess:
        if argv[1:3] == ("pip", "sync"):
            locks.append(Path(argv[3]).read_text())
        return CompletedProcess(argv, 0, "")

    installer, runner = uv(act, tmp_path)
    progress: list[str] = []
    installer.create(job(tmp_path / "e"))
    installer.install(job(tmp_path / "e"), progress.append)
    (venv, _), (sync, _) = runner.calls
    assert venv[1] == "venv"
    assert option(venv, "--python") == "/usr/bin/python3.11"
    assert "--require-hashes" in sync
    assert option(sync, "--python") == str(tmp_path / "e" / "bin" / "python")
    assert "numpy==1.26.4 \\\n    --hash=sha256:0a \\\n    --hash=sha256:0b\n" in locks[0]
    assert progress == ["0 of 2 packages"]


def test_uv_adds_packages_without_removing_others(tmp_path: Path) -> None:
    installer, runner = uv(lambda argv: CompletedProcess(argv, 0, ""), tmp_path)
    installer.add(job(tmp_path / "e"), lambda _: None)
    ((argv, _),) = runner.calls
    # `sync` would remove other packages. The lock includes all dependencies.
    assert argv[1:4] == ("pip", "install", "--no-deps")
    assert "--require-hashes" in argv
    assert option(argv, "--python") == str(tmp_path / "e" / "bin" / "python")


def test_pip_prefers_old_versions_and_resolves_again_without_them(tmp_path: Path) -> None:
    constraints: list[str] = []

    def act(argv: tuple[str, ...]) -> CompletedProcess:
        if "--constraint" not in argv:
            return CompletedProcess(argv, 0, "")
        constraints.append(Path(option(argv, "--constraint")).read_text())
        if len(constraints) == 1:
            return CompletedProcess(argv, 1, "", "ERROR: ResolutionImpossible")
        report = {
            "install": [
                {
                    "metadata": {"name": "NumPy", "version": "2.0.0"},
                    "download_info": {"url": "x", "archive_info": {"hashes": {"sha256": "0d"}}},
                }
            ]
        }
        Path(option(argv, "--report")).write_text(json.dumps(report))
        return CompletedProcess(argv, 0, "")

    installer, runner = pip(act, tmp_path)
    request = ResolveRequest(
        ("numpy",), ("a<2",), "3.11", Path("/p"), "", ("cocotools",), TEAM, preferred=PINS[:1]
    )
    assert installer.resolve(request) == (Pin("numpy", "2.0.0", ("sha256:0d",)),)
    assert constraints == ["a<2\nnumpy==1.26.4\n", "a<2\n"]
    argv, env = runner.calls[-1]
    assert {"--dry-run", "--ignore-installed", "--only-binary=:all:", "--no-binary=cocotools"} <= set(argv)
    assert env["PIP_EXTRA_INDEX_URL"] == TEAM[0][1]
    assert "PIP_USER" not in env


def test_pip_report_without_a_hash_is_an_error(tmp_path: Path) -> None:
    def act(argv: tuple[str, ...]) -> CompletedProcess:
        if "--report" in argv:
            item = {"metadata": {"name": "a", "version": "1"}, "download_info": {"dir_info": {}}}
            Path(option(argv, "--report")).write_text(json.dumps({"install": [item]}))
        return CompletedProcess(argv, 0, "")

    with pytest.raises(InstallError, match="hash of a 1"):
        pip(act, tmp_path)[0].resolve(REQUEST)


def test_unreachable_index_in_the_pip_log_is_a_network_error(tmp_path: Path) -> None:
    def act(argv: tuple[str, ...]) -> CompletedProcess:
        if "--log" not in argv:
            return CompletedProcess(argv, 0, "")
        Path(option(argv, "--log")).write_text(
            "2026-11-22T09:43:52,123 1 location(s) to search for versions of alpha:\n"
            "2026-11-22T09:43:52,124 Could not fetch URL http://127.0.0.1:9/simple/alpha/: connection error: refused - "
            "skipping\n"
        )
        return CompletedProcess(argv, 1, "", "ERROR: No matching distribution found for alpha\n")

    with pytest.raises(NetworkError) as caught:
        pip(act, tmp_path)[0].resolve(REQUEST)
    assert "127.0.0.1:9" in caught.value.detail


def test_missing_pip_log_is_ignored(tmp_path: Path) -> None:
    assert read_fetch_errors(tmp_path / "none") == ""


def test_pip_installs_with_virtualenv_and_hashes(tmp_path: Path) -> None:
    installer, runner = pip(exits(0), tmp_path)
    installer.create(job(tmp_path / "e"))
    installer.install(job(tmp_path / "e"), print)
    (venv, env), (install, _) = runner.calls
    assert venv[:3] == (sys.executable, "-m", "virtualenv")
    assert option(venv, "--python") == "/usr/bin/python3.11"
    assert env["VIRTUALENV_OVERRIDE_APP_DATA"].startswith(str(tmp_path / "home"))
    assert install[0] == str(tmp_path / "e" / "bin" / "python")
    assert {"-I", "--require-hashes", "--no-deps"} <= set(install)
    assert option(venv, "--pip") == "bundle"


def test_virtualenv_downloads_the_last_pip_for_python_3_7(tmp_path: Path) -> None:
    installer, runner = pip(exits(0), tmp_path)
    old = dataclasses.replace(job(tmp_path / "e"), interpreter=Interpreter(Path("/py37"), "3.7.16", "pyenv"))
    installer.create(old)
    installer.install(old, print)
    (venv, _), (install, _) = runner.calls
    assert "--download" in venv
    assert option(venv, "--pip") == "24.0"
    assert option(install, "--progress-bar") == "off"


def both_installers(
    act: Callable[[tuple[str, ...]], CompletedProcess], tmp_path: Path
) -> list[UvInstaller | PipInstaller]:
    return [uv(act, tmp_path)[0], pip(act, tmp_path)[0]]


def test_failures_are_classified_and_logged_without_secrets(tmp_path: Path) -> None:
    output = "error: Hash mismatch for `a==1` at https://bob:hunter22@host/simple, user hunter22\n"
    for installer in both_installers(exits(1, output), tmp_path):
        with pytest.raises(CorruptError) as caught:
            installer.install(job(tmp_path / "e"), lambda _: None)
        assert "hunter22" not in caught.value.detail
        assert "Hash mismatch" in caught.value.detail
        log = installer.workspace.log_path.read_text()
        assert "hunter22" not in log
        assert "exit status 1" in log


def test_failed_creation_is_an_installer_error(tmp_path: Path) -> None:
    for installer in both_installers(exits(2, "", "error: it broke\n"), tmp_path):
        with pytest.raises(InstallError, match="creating the virtual environment") as caught:
            installer.create(job(tmp_path / "e"))
        assert caught.value.detail == "error: it broke"


def test_unsatisfiable_requirements_have_their_own_error(tmp_path: Path) -> None:
    installer, _ = uv(exits(1, "", "error: No solution found when resolving dependencies\n"), tmp_path)
    with pytest.raises(UnsatisfiableError):
        installer.resolve(REQUEST)


def test_uv_downloads_an_interpreter_and_returns_its_path(tmp_path: Path) -> None:
    def act(argv: tuple[str, ...]) -> CompletedProcess:
        return CompletedProcess(
            argv, 0, "/pythons/cpython-3.10/bin/python3.10\n" if argv[2] == "find" else ""
        )

    assert uv(act, tmp_path)[0].download_python("3.10") == Path("/pythons/cpython-3.10/bin/python3.10")


FAILED_DOWNLOADS = {
    "error: Failed to download\n  cause: dns error\n": (NetworkError, "UV_PYTHON_INSTALL_MIRROR"),
    "error: Failed to install\n  cause: HTTP status client error (404 Not Found) for url (https://x)\n": (
        NetworkError,
        "does not have it",
    ),
    "error: Failed to install\n  cause: Hash mismatch for `cpython-3.7.9`\n": (CorruptError, "is damaged"),
    "error: No download found for request: cpython-3.7.12\n": (InterpreterError, "uv downloads 3.7.9"),
    'Python downloads are not allowed (`python-downloads = "never"`).\n': (
        InterpreterError,
        "downloads are turned off (UV_PYTHON_DOWNLOADS=never)",
    ),
    "error: Failed to install\n  cause: Network connectivity is disabled, but\n": (
        InterpreterError,
        "downloads are turned off (UV_OFFLINE)",
    ),
}


def test_uv_reports_why_it_cannot_download_an_interpreter(tmp_path: Path) -> None:
    for output, (error, text) in FAILED_DOWNLOADS.items():
        with pytest.raises(error) as caught:
            uv(exits(1, "", output), tmp_path)[0].download_python("3.7.12")
        assert "Python 3.7.12" in caught.value.message, output
        assert text in f"{caught.value.message} {caught.value.hint}", output
    with pytest.raises(InterpreterError, match="does not find it"):
        uv(exits(0, "", ""), tmp_path)[0].download_python("3.10")


def test_list_of_downloads_for_uv(tmp_path: Path) -> None:
    lists = {"own": "", "user": "https://mirror/list.json"}
    for whose, setting in lists.items():
        for version in ("3.7", "3.7.9", "3.10"):
            runner = WritingRunner(exits(0, "/pythons/bin/python"))
            variables = {"UV_PYTHON_DOWNLOADS_JSON_URL": setting} if setting else {}
            UvInstaller(UV, workspace(tmp_path, runner, **variables)).download_python(version)
            named = runner.calls[0][1].get("UV_PYTHON_DOWNLOADS_JSON_URL", "")
            if setting or version == "3.10":
                assert named == setting, (whose, version)
            else:
                (entry,) = json.loads(Path(named).read_text()).values()
                assert f"cpython-{entry['major']}.{entry['minor']}.{entry['patch']}-x86_64" in entry["url"]


def test_pip_cannot_download_an_interpreter(tmp_path: Path) -> None:
    with pytest.raises(InterpreterError, match="pip cannot"):
        pip(exits(0), tmp_path)[0].download_python("3.10")


def select(runner: RecordedRunner, home: Path, **environ: str) -> Installer:
    return select_installer(workspace(home, runner, **environ))


def uv_path() -> str:
    runner = RecordedRunner([((), CompletedProcess((), 0, "uv 0.13.0"))])
    return str(find_uv(Workspace({}, runner=runner)).binary)


def test_uv_is_selected_if_it_runs(tmp_path: Path) -> None:
    runner = RecordedRunner([((uv_path(), "--version"), CompletedProcess((), 0, "uv 0.13.0"))])
    installer = select(runner, tmp_path)
    assert (installer.name, installer.reason) == ("uv", "")
    assert isinstance(installer, UvInstaller)
    assert os.access(installer.binary, os.X_OK)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([], "could not be started"),
        ([((), CompletedProcess((), 132, "", "Illegal instruction"))], "Illegal instruction"),
    ],
)
def test_pip_is_selected_with_a_reason_if_uv_fails(
    tmp_path: Path, answers: list[tuple[tuple[str, ...], CompletedProcess]], reason: str
) -> None:
    installer = select(RecordedRunner(answers), tmp_path)
    assert installer.name == "pip"
    assert reason in installer.reason
    with pytest.raises(MachineError, match="uv does not run here"):
        select(RecordedRunner(answers), tmp_path, COLABENV_INSTALLER="uv")


def test_user_can_select_pip(tmp_path: Path) -> None:
    runner = RecordedRunner()
    installer = select(runner, tmp_path, COLABENV_INSTALLER="pip")
    assert (installer.name, installer.reason) == ("pip", "COLABENV_INSTALLER=pip")
    assert runner.calls == []


def test_unknown_installer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="conda"):
        select(RecordedRunner(), tmp_path, COLABENV_INSTALLER="conda")
