"""What the kernel process of an environment runs first.

Standard library only, CPython 3.8 to 3.13. A copy lies in every environment beside `environ.py` and `settings.json`, so
the kernel does not depend on colabenv being installed. It runs in two steps:

1. Started by the server with `-I -S`, so that nothing of the base (PYTHONPATH, user site, a `sitecustomize`) runs, it
   computes the environment's variables and becomes the environment's Python. A second start is needed because the
   dynamic loader reads LD_LIBRARY_PATH and LD_PRELOAD only once, before Python is there.
2. There it makes `google.colab` importable from the base, alone, and starts ipykernel.

Where a process waits that has done the second step's imports already, the first step hands the kernel over to it and
stands in for it (handover.py). The same file starts that process: `--keep` its keeper, `--warm` itself
(warm_supervisor.py).

The IPython configuration of Colab (/etc/ipython) is read by every IPython on the machine and names a kernel class that
only the base has. Where this environment cannot have that class, the launcher drops the names from the configuration.
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any, NoReturn

_SECOND = "COLABENV_KERNEL_PREFIX"
#: Set by switch_hook.py where this kernel stands in for the session's default one.
_TAKEOVER = "COLABENV_TAKEOVER"
#: Set by the proof, which wants a kernel that starts as all do; a warm one is not used up.
_COLD = "COLABENV_COLD"
_KEEP = "--keep"
_WARM = "--warm"
_COLAB_KERNEL = "google.colab._kernel.Kernel"
#: What ipykernel sets before a kernel's first cell, and matplotlib reads when it is imported.
_BACKEND = "module://matplotlib_inline.backend_inline"


def main() -> None:
    """Run the step that is due."""
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "settings.json"), encoding="utf-8") as file:
        settings = json.load(file)
    if os.environ.pop(_SECOND, None) is None:
        sys.path.insert(0, here)
        first_step(here, settings)
        return
    warm = None
    if sys.argv[1:2] == [_WARM]:
        warm = warm_process(here, settings)
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    takeover = json.loads(os.environ.pop(_TAKEOVER, "null"))
    try:
        start_kernel(settings, takeover, warm)
    except Exception as error:
        # A default kernel that cannot start would be restarted five times and then lost. One that was handed over
        # is started cold by its stand-in.
        if takeover is None or takeover.get("ready") or warm is not None:
            raise
        return_to_base(takeover, error)


def first_step(here: str, settings: dict[str, Any]) -> None:
    """Become the environment's Python, or the stand-in of a warm one; returns only where a keeper was started."""
    cold = os.environ.pop(_COLD, None) is not None
    variables = compute_kernel_variables(here, settings)
    prefix = os.path.dirname(here)

    def become(*arguments: str) -> NoReturn:
        python = os.path.join(prefix, "bin", "python")
        again = dict(variables)
        again[_SECOND] = prefix
        os.execve(python, [python, os.path.join(here, "launcher.py"), *arguments], again)

    if sys.argv[1:2] == [_KEEP]:
        import warm_supervisor  # type: ignore[import-not-found,unused-ignore]

        warm_supervisor.supervise(
            prefix,
            settings["preload"],
            float(sys.argv[2]),
            lambda number: become(_WARM, str(number)),
            variables,
        )
        return
    if settings.get("preload") and not cold:
        try:
            import handover  # type: ignore[import-not-found,unused-ignore]

            handover.offer_kernel(prefix, variables, sys.argv[1:])
        except Exception as reason:  # noqa: BLE001 - whatever it is, a cold kernel is better than a dead one
            sys.stderr.write("colabenv: no warm kernel is taken: %s\n" % reason)
            sys.stderr.flush()
    become(*sys.argv[1:])


def warm_process(here: str, settings: dict[str, Any]) -> Any:
    """Import what a kernel and its first cell would, and wait until one is wanted.

    Returns:
        The other end, which is to hear when the kernel listens. By then this process has the variables, the command
        line, the streams and the folder that the server gave.
    """
    import importlib

    import warm_supervisor

    warm = warm_supervisor.WarmKernel(int(sys.argv[2]))
    for ours in ("warm_supervisor", "handover"):
        del sys.modules[ours]  # a notebook's own module of that name must be found
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    own = os.environ.get("MPLBACKEND")
    os.environ.setdefault("MPLBACKEND", _BACKEND)
    settings["class"] = kernel_class(settings)
    for name in settings["preload"]:
        importlib.import_module(name)
    if own is None:
        os.environ.pop("MPLBACKEND", None)
    warm.wait()
    return warm


def compute_kernel_variables(here: str, settings: dict[str, Any]) -> dict[str, str]:
    """The whole environment of a kernel that is started in this one."""
    import environ  # type: ignore[import-not-found]

    prefix = os.path.dirname(here)
    libraries, programs = find_cuda_folders(prefix)
    variables = dict(settings["variables"])
    toolkit = os.path.dirname(programs[0]) if programs else ""
    if toolkit and os.path.isdir(os.path.join(toolkit, "nvvm", "libdevice")):
        # XLA looks for libdevice in the toolkit's folder and knows of no wheel.
        variables.setdefault("XLA_FLAGS", _with_flag(os.environ.get("XLA_FLAGS", ""), toolkit))
    inherited = dict(os.environ)
    if inherited.get("CLOUDSDK_PYTHON") == "python3" and settings.get("base_python"):
        # `gcloud`, which google.colab.auth starts, was tried with the base's Python, not with this one.
        inherited["CLOUDSDK_PYTHON"] = settings["base_python"]
    result = environ.environment_variables(
        inherited, prefix, variables=variables, library_paths=libraries, program_paths=programs
    )
    # debugpy warns at every start about modules that CPython froze; nobody debugs those.
    result.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    return dict(result)


def find_cuda_folders(prefix: str) -> tuple[list[str], list[str]]:
    """Folders of the shared libraries and of the programs (ptxas) that NVIDIA's wheels brought."""
    libraries, programs = [], []
    root = os.path.join(prefix, "lib")
    for python in sorted(os.listdir(root)) if os.path.isdir(root) else []:
        nvidia = os.path.join(root, python, "site-packages", "nvidia")
        for package in sorted(os.listdir(nvidia)) if os.path.isdir(nvidia) else []:
            if os.path.isdir(os.path.join(nvidia, package, "lib")):
                libraries.append(os.path.join(nvidia, package, "lib"))
            if os.path.exists(os.path.join(nvidia, package, "bin", "ptxas")):
                programs.append(os.path.join(nvidia, package, "bin"))
    return libraries, programs


def _with_flag(flags: str, toolkit: str) -> str:
    if "xla_gpu_cuda_data_dir" in flags:
        return flags
    return (flags + " --xla_gpu_cuda_data_dir=" + toolkit).strip()


def return_to_base(takeover: dict[str, Any], error: Exception) -> NoReturn:
    """Start Colab's own kernel after all; it says in its first cell why."""
    back = takeover["back"]
    reason = "its kernel could not start (%s: %s)" % (type(error).__name__, error)
    with open(back["notice"], "w", encoding="utf-8") as file:
        json.dump(dict(takeover["notice"], reason=reason), file)
    os.execve(back["argv"][0], back["argv"], dict(back["environ"], COLABENV_SWITCH_BACK=str(os.getpid())))


def start_kernel(settings: dict[str, Any], takeover: dict[str, Any] | None, warm: Any = None) -> None:
    """Second step: ipykernel, with Colab's kernel class where the base has it and this environment can take it.

    Args:
        settings: of this environment.
        takeover: how to go back to the session's own kernel, and where failed starts are counted; or None.
        warm: told when the kernel listens, where this process was warm.
    """
    if warm is None:
        application = kernel_class(settings).instance()
    else:
        # ipykernel ends when its parent is gone, and here that is the keeper. It read the server's at its import.
        parent = os.getppid() if "JPY_PARENT_PID" in os.environ else 0
        application = settings["class"].instance(parent_handle=parent)
    application.initialize()
    if warm is not None:
        warm.started()
    if takeover is not None:
        takeover["ready"] = True
        if os.path.exists(takeover["attempts"]):
            os.unlink(takeover["attempts"])
    application.start()


def kernel_class(settings: dict[str, Any]) -> Any:
    """Ipykernel's application for this environment; imports it, and `google.colab` where that is to be there."""
    with_colab = False
    if settings.get("google_colab"):
        with_colab = provide_google_colab(settings["google_colab"], settings["bytecode"])
    from ipykernel.kernelapp import IPKernelApp

    return kernel_application(IPKernelApp, with_colab)


def kernel_application(base: type[Any], with_colab: bool) -> type[Any]:
    """Ipykernel's application, changed where Colab's own launcher and configuration differ.

    Args:
        base: `ipykernel.kernelapp.IPKernelApp`.
        with_colab: whether `google.colab` can be imported here.
    """

    class EnvironmentKernelApp(base):  # type: ignore[misc]
        def load_config_file(self, *args: Any, **kwargs: Any) -> None:
            super().load_config_file(*args, **kwargs)
            if with_colab:
                add_google_colab(self.config)
                self.update_config(self.config)

        def update_config(self, config: Any) -> None:
            # Before it takes effect: ipykernel ends over a class that cannot be imported.
            super().update_config(config if with_colab else without_google_colab(config))

        def init_iopub(self, context: Any) -> None:
            # Colab's launcher does the same, so that long output is never dropped. The options must be set before the
            # socket is bound, and a context hands its own to every socket made from it.
            import zmq

            options: Any = zmq
            context.setsockopt(options.SNDHWM, 0)
            context.setsockopt(options.RCVHWM, 0)
            super().init_iopub(context)

    EnvironmentKernelApp.__name__ = base.__name__
    return EnvironmentKernelApp


def add_google_colab(config: Any) -> None:
    """Make IPython's merged configuration name Colab's kernel class and extension, in place."""
    config.IPKernelApp.kernel_class = _COLAB_KERNEL
    extensions = _extensions(config)
    if "google.colab" not in extensions:
        config.InteractiveShellApp.extensions = [*extensions, "google.colab"]


def without_google_colab(config: Any) -> Any:
    """A copy of a configuration of IPython's that names nothing of Colab's."""
    import copy

    adapted = copy.deepcopy(config)
    if str(adapted.IPKernelApp.get("kernel_class", "")).startswith("google.colab"):
        adapted.IPKernelApp.kernel_class = "ipykernel.ipkernel.IPythonKernel"
    extensions = _extensions(adapted)
    kept = [name for name in extensions if name.split(".")[:2] != ["google", "colab"]]
    if kept != extensions:
        adapted.InteractiveShellApp.extensions = kept
    return adapted


def _extensions(config: Any) -> list[str]:
    """The extensions that a configuration names; one that only appends to a list keeps them apart until asked."""
    named = config.InteractiveShellApp.get("extensions") or []
    return list(named.get_value([]) if hasattr(named, "get_value") else named)


def provide_google_colab(package: str, bytecode: str) -> bool:
    """Make the base's `google.colab` importable, and nothing else of the base.

    Args:
        package: folder of the package in the base.
        bytecode: folder for its compiled modules; the base's own is left as it is.

    Returns:
        Whether the kernel class could be imported; where not, why is said on standard error, which the server logs.
    """
    if not os.path.isdir(package):
        sys.stderr.write("colabenv: %s is gone; starting a plain kernel\n" % package)
        return False
    finder = google_colab_finder(package, bytecode)
    sys.meta_path.insert(0, finder)
    try:
        import google.colab._kernel  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except Exception as error:  # noqa: BLE001 - whatever it is, a plain kernel is better than a dead one
        sys.meta_path.remove(finder)
        for name in [
            name for name in sys.modules if name == "google.colab" or name.startswith("google.colab.")
        ]:
            del sys.modules[name]
        sys.stderr.write("colabenv: google.colab cannot be used here (%r); starting a plain kernel\n" % error)
        return False
    return True


def google_colab_finder(package: str, bytecode: str) -> Any:
    """A meta path finder for `google.colab` and its modules.

    `google` itself stays what the environment makes of it (a namespace of google-auth, protobuf and others); only
    where the environment has no `google` at all is an empty one supplied.
    """
    import importlib.machinery

    class Loader(importlib.machinery.SourceFileLoader):
        """Keeps bytecode in the environment: the base must not change, not even by a __pycache__."""

        def get_data(self, path: str) -> bytes:
            return super().get_data(self._moved(str(path)))

        def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
            super().set_data(self._moved(path), data, _mode=_mode)

        @staticmethod
        def _moved(path: str) -> str:
            if not path.endswith(".pyc"):
                return path
            return os.path.join(bytecode, os.path.relpath(path, package))

    class Finder:
        @staticmethod
        def find_spec(
            name: str,
            path: Sequence[str] | None = None,
            target: ModuleType | None = None,  # noqa: ARG004 - the finder protocol's
        ) -> ModuleSpec | None:
            if name == "google":
                return _spec_of_google(Finder, name, path)
            if name != "google.colab" and not name.startswith("google.colab."):
                return None
            relative = name.split(".")[2:]
            folder = os.path.join(package, *relative[:-1]) if relative else os.path.dirname(package)
            file_finder = importlib.machinery.FileFinder(
                folder, (Loader, importlib.machinery.SOURCE_SUFFIXES)
            )
            return file_finder.find_spec(name)

    return Finder


def _spec_of_google(own: Any, name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    """None where another finder has `google`, else the spec of an empty package."""
    import importlib.machinery

    for finder in sys.meta_path:
        if finder is not own and hasattr(finder, "find_spec") and finder.find_spec(name, path) is not None:
            return None
    spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = []
    return spec


if __name__ == "__main__":
    main()
