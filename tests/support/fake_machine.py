"""A fake machine for tests of commands: the test sets its host, installer and folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from colabenv.commands.context import Context
from colabenv.environment.build import Stamp, write_stamp
from colabenv.environment.installers.base import Installer
from colabenv.errors import ColabenvError
from colabenv.host.probe import Host
from colabenv.kernel import register
from colabenv.kernel.spec import kernelspec
from colabenv.lock.lockfile import Pin
from colabenv.system.process import SystemRunner
from support.fake_installer import FakeInstaller

HOST = Host("terminal", "", (), "", "tcp", None, "")
PINS = (Pin("pip", "25.0", ("sha256:0c",)), Pin("six", "1.17.0", ("sha256:0a",)))


class FakeMachine(Context):
    """A context whose home is in `folder`.

    Args:
        folder: contains the home and the kernels.
        answers: results of the resolver, one per request; pip and six by default.
        host: result of probing; a terminal without a GPU by default.
        environ: further environment variables.
    """

    def __init__(
        self,
        folder: Path,
        answers: Sequence[tuple[Pin, ...] | ColabenvError] = (PINS,),
        host: Host = HOST,
        **environ: str,
    ) -> None:
        places = {
            "COLABENV_HOME": str(folder / "home"),
            "HOME": str(folder),
            "JUPYTER_DATA_DIR": str(folder / "jupyter"),
            "PATH": "/usr/bin:/bin",
        }
        super().__init__({**places, **environ}, runner=SystemRunner())
        self.fake = FakeInstaller(answers)
        self.probed = 0  #: number of probes
        self._host = host

    def host(self) -> Host:
        self.probed += 1
        return self._host

    def installer(self) -> Installer:
        return self.fake

    def preferred(self) -> list[dict[str, str]]:
        """The preferred versions of each request to the resolver."""
        return [{pin.name: pin.version for pin in question.preferred} for question in self.fake.requests]


def make_environment(context: Context, name: str = "demo", digest: str = "d1", built: float = 1.0) -> Path:
    """A stamped environment whose Python is /bin/sh."""
    prefix = context.home.environment(name, digest)
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").symlink_to("/bin/sh")
    write_stamp(prefix, Stamp(name, digest, "3.11.7", "cpu", "plain", 3, "uv", built, "/p.yaml", "/l.txt"))
    return prefix


def register_kernel(context: Context, name: str = "demo", digest: str = "d1") -> Path:
    """Register the kernel of an environment; returns its kernel.json."""
    spec = kernelspec(
        name=name, display_name=name, environment="/e", digest=digest, version="0.1", profile="/p.yaml"
    )
    return register.register_kernel(name, spec, register.find_kernels_folder(context.environ))
