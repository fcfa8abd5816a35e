"""`save` after pip and uv have installed, changed and removed packages in an environment."""

from __future__ import annotations

import importlib.metadata

from support.index_server import Index
from support.packages import wheel
from support.user_machine import TINY, UserMachine


def list_installed(machine: UserMachine) -> dict[str, str]:
    """Name to version of the packages in the registered environment."""
    prefix = machine.registered_environment()
    assert prefix is not None
    folders = [str(folder) for folder in prefix.glob("lib/python3.*/site-packages")]
    distributions = importlib.metadata.distributions(path=folders)
    return {distribution.name.lower(): distribution.version for distribution in distributions}


def test_saved_packages_are_installed_by_the_next_up(machine: UserMachine, index: Index) -> None:
    index.add(*wheel("tiny", "1.1"))
    index.add(*wheel("helper", "1.0"))
    index.add(*wheel("helper", "2.0"))
    index.add(*wheel("by_pip", "1.0", requires=["helper"]))
    index.add(*wheel("by_uv", "3.0", requires=["helper<2"]))
    index.add(*wheel("by_uv", "4.0"))
    text = TINY.replace("packages: [tiny]", "packages: [tiny==1.0]  # the course's")
    machine.profile.write_text(text)
    machine.up().expect(0)
    pip, uv = ("run", "tiny", "--", "python", "-m", "pip"), ("run", "tiny", "--", "uv", "pip")
    machine.run(*pip, "install", "--quiet", "by-pip", "tiny==1.1").expect(0)
    machine.run(*uv, "install", "--quiet", "by-uv==3.0").expect(0)
    machine.run(*pip, "uninstall", "--quiet", "--yes", "ipykernel").expect(0)
    installed = list_installed(machine)
    assert (installed["by_pip"], installed["by_uv"], installed["helper"]) == ("1.0", "3.0", "1.0")
    lock = machine.lock.read_text()
    output = machine.run("save", "tiny").expect(0).text
    assert "+ packages: [tiny==1.1, by-pip==1.0, by-uv==3.0]  # the course's" in output
    assert "ipykernel" in output
    assert "stays in the lock: the frameworks or the kernel need it." in output
    assert machine.profile.read_text() == text.replace("[tiny==1.0]", "[tiny==1.1, by-pip==1.0, by-uv==3.0]")
    changed = set(machine.lock.read_text().splitlines()) ^ set(lock.splitlines())
    assert {line.split("==")[0] for line in changed if "==" in line} == {"tiny", "by-pip", "by-uv", "helper"}

    machine.up("--frozen").expect(0)
    assert list_installed(machine) == {**installed, "ipykernel": list_installed(machine)["ipykernel"]}
    assert len(machine.environments()) == 2, "the changed environment still exists"
    assert "Nothing to save" in machine.run("save", "tiny").expect(0).text
