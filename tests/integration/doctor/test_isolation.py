"""The doctor diagnoses and fixes what reaches an environment from outside."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from colabenv.doctor import fixes
from colabenv.doctor.checks import diagnose
from colabenv.doctor.facts import Target, gather_facts
from colabenv.doctor.model import LoadedModule
from colabenv.embedded.environ import remove_leaks
from colabenv.system.process import SystemRunner
from support.doctor.recipe import BrokenEnvironment, Recipe, check_recipe, mark_slow, rewrite, site_packages
from support.mounts import fuse
from support.pythons import find_cpython
from support.timeouts import TIMEOUT

pytestmark = [pytest.mark.network, pytest.mark.slow]

USER_SITE = "home/.local/lib/python3.11/site-packages"


def enable_system_site_packages(prefix: Path) -> None:
    """Change the environment to what `python -m venv --system-site-packages` creates."""
    config = prefix / "pyvenv.cfg"
    rewrite(config, config.read_bytes().replace(b"= false", b"= true"))


RECIPES = [
    Recipe(
        name="old package on PYTHONPATH",
        code="CE301",
        statement="import idna; idna.core.check_label('a'); assert idna.__version__ == '3.10', idna.__version__",
        install=("idna==3.10",),
        targets={"old": ("idna==2.8",)},
        environ={"PYTHONPATH": "../old"},
        fails_with="2.8",
        evidence=("PYTHONPATH=../old", "instead of", "idna 2.8"),
    ),
    Recipe(
        name="old package in ~/.local with system site packages",
        code="CE302",
        statement="import httpx; httpx.Client()",
        install=("httpx==0.27.2",),
        remove=("httpcore", "anyio", "certifi", "idna", "sniffio", "h11"),
        targets={
            USER_SITE: (
                "httpcore==0.9.1",
                "anyio",
                "certifi",
                "idna",
                "sniffio",
                "h11==0.9.0",
                "typing_extensions",
            )
        },
        damage=enable_system_site_packages,
        fails_with="httpcore",
        evidence=("requires httpcore", "0.9.1 is in", ".local"),
    ),
    Recipe(
        name="random.py in the working directory",
        code="CE304",
        statement="import tempfile; tempfile.mkdtemp()",
        install=(),
        files={"random.py": "print('my dice')\n"},
        fails_with="random",
        evidence=("random.py", "lib/python3.11/random.py"),
    ),
    Recipe(
        name="folder with the name of a package",
        code="CE304",
        statement="import idna; idna.encode('a')",
        install=("idna==3.10",),
        files={"idna/__init__.py": "", "idna/notes.txt": ""},
        fails_with="has no attribute 'encode'",
        evidence=("idna/__init__.py",),
    ),
    Recipe(
        name="Colab's MPLBACKEND",
        code="CE308",
        statement="import matplotlib.pyplot as plt; plt.figure()",
        install=("matplotlib==3.9.2",),
        environ={"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        fails_with="matplotlib_inline",
        evidence=("MPLBACKEND=module://matplotlib_inline.backend_inline",),
    ),
    Recipe(
        name="Colab's UV_SYSTEM_PYTHON",
        code="CE309",
        statement="import subprocess; "
        "assert 'idna' in subprocess.check_output(['uv', 'pip', 'list'], text=True), 'packages of another Python'",
        install=("idna==3.10", "uv"),
        environ={"UV_SYSTEM_PYTHON": "true"},
        fails_with="packages of another Python",
        evidence=("UV_SYSTEM_PYTHON=true",),
    ),
]


#: The recipes of the default suite; the others run with `--extended`.
QUICK = {"old package on PYTHONPATH", "random.py in the working directory", "Colab's UV_SYSTEM_PYTHON"}


@pytest.mark.parametrize("recipe", mark_slow(RECIPES, QUICK))
def test_doctor_finds_and_fixes(recipe: Recipe, tmp_path: Path, uv_cache: Path) -> None:
    check_recipe(recipe, tmp_path, uv_cache)


def test_modules_imported_before_an_upgrade(tmp_path: Path, uv_cache: Path) -> None:
    """A process that imported NumPy 1 fails after an upgrade to NumPy 2; a new process does not."""
    statement = "from numpy import isdtype"  # new in NumPy 2
    broken = BrokenEnvironment(
        Recipe("upgraded", "CE305", statement, ("numpy==1.26.4", "pip==24.2")), tmp_path, uv_cache
    )
    code = f"import numpy; print(numpy.__version__, numpy.__file__, flush=True); input(); {statement}"
    with subprocess.Popen(
        [broken.python, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=broken.environ,
        cwd=broken.cwd,
    ) as session:
        assert session.stdout is not None
        version, file = session.stdout.readline().split()
        upgrade = ["pip", "install", "--quiet", "--python", str(broken.python), "numpy==2.0.2"]
        subprocess.run([sys.executable, "-m", "uv", *upgrade], check=True, env=broken.environ)
        session.communicate("\n", timeout=TIMEOUT)
    assert session.returncode != 0
    target = Target("the session", "base", str(broken.python), broken.environ, str(broken.cwd))
    facts = dataclasses.replace(
        gather_facts(target, SystemRunner()), loaded={"numpy": LoadedModule("numpy", version, file)}
    )
    (finding,) = diagnose(facts)
    assert finding.code == "CE305"
    assert "numpy 1.26.4" in finding.summary
    assert "numpy 2.0.2" in finding.summary
    assert fixes.describe_fixes(finding.fixes, facts, sys.executable, cell=True) == [
        "Runtime > Restart session"
    ]
    assert broken.try_statement().returncode == 0  # a restart gives a new process
    broken.remove()


@pytest.mark.wheels
def test_pip_on_path_belongs_to_another_python(tmp_path: Path, uv_cache: Path) -> None:
    kernel = BrokenEnvironment(
        Recipe("kernel", "CE306", "import idna", ("pip==24.2",)), tmp_path / "kernel", uv_cache
    )
    other = BrokenEnvironment(
        Recipe("other", "CE306", "import idna", ("pip==24.2",)), tmp_path / "other", uv_cache
    )
    session = {**kernel.environ, "PATH": other.environ["PATH"], "JPY_PARENT_PID": "1"}
    install = "pip install --quiet --disable-pip-version-check idna==3.10"
    subprocess.run(install, shell=True, check=True, env=session)  # noqa: S602 - "!" in a cell runs a shell
    assert kernel.try_statement().returncode != 0

    facts = gather_facts(
        Target("the session", "base", str(kernel.python), session, str(kernel.cwd)), SystemRunner()
    )
    (finding,) = diagnose(facts)
    assert finding.code == "CE306"
    assert str(other.prefix) in finding.summary
    assert fixes.describe_fixes(finding.fixes, facts, sys.executable, cell=True) == [
        "change  !pip install  to  %pip install"
    ]
    # What IPython's %pip runs.
    subprocess.run([kernel.python, "-m", *install.split()], check=True, env=session)
    assert kernel.try_statement().returncode == 0
    own_path = {**session, "PATH": kernel.environ["PATH"]}
    target = Target("the session", "base", str(kernel.python), own_path, str(kernel.cwd))
    assert diagnose(gather_facts(target, SystemRunner())) == ()


def test_environment_on_a_network_folder(tmp_path: Path, uv_cache: Path) -> None:
    """The FUSE mount is real but empty, so the interpreter is elsewhere and only reports a prefix on it."""
    broken = BrokenEnvironment(Recipe("drive", "CE307", "pass", ()), tmp_path, uv_cache)
    drive = tmp_path / "drive"
    (site_packages(broken.prefix) / "sitecustomize.py").write_text(
        f"import sys; sys.prefix = {str(drive / 'env')!r}\n"
    )
    with fuse(drive):
        code, result = broken.doctor()
    assert code == 1
    assert [finding["code"] for finding in result["findings"]] == ["CE307"]
    assert "fuse" in result["findings"][0]["evidence"][0]
    assert result["commands"] == ["python -m colabenv up builtin:quickstart"]


@pytest.mark.wheels
def test_user_site_package_hides_the_base_package(tmp_path: Path, uv_cache: Path) -> None:
    """An old `pip install --user` package; a `.pth` file in the same folder adds the base's packages."""
    python = find_cpython("3.11")
    assert python is not None
    user_site, base_site = tmp_path / "home/lib/python3.11/site-packages", tmp_path / "base"
    environ = {
        **remove_leaks(os.environ),
        "UV_CACHE_DIR": str(uv_cache),
        "PYTHONUSERBASE": str(tmp_path / "home"),
    }
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python), "--target"]
    subprocess.run([*install, str(base_site), "httpx==0.27.2"], check=True, env=environ)
    subprocess.run([*install, str(user_site), "--no-deps", "httpcore==0.9.1"], check=True, env=environ)
    (user_site / "base.pth").write_text(f"{base_site}\n")
    statement = [str(python), "-c", "import httpx; httpx.Client()"]
    completed = subprocess.run(statement, env=environ, cwd=tmp_path, stderr=subprocess.DEVNULL, check=False)
    assert completed.returncode != 0

    facts = gather_facts(Target("this Python", "base", str(python), environ, str(tmp_path)), SystemRunner())
    findings = [finding for finding in diagnose(facts) if finding.code == "CE303"]
    assert "httpcore 0.9.1 in ~/.local" in findings[0].summary
    assert "requires httpcore" in findings[0].evidence[0]
    (fix,) = findings[0].fixes
    argv = fixes.fix_argv(fix, facts, sys.executable)
    assert argv is not None
    subprocess.run(argv, check=True, env=environ, cwd=tmp_path, stdout=subprocess.DEVNULL)
    assert subprocess.run(statement, env=environ, cwd=tmp_path, check=False).returncode == 0
