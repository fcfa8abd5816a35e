"""The first program of an environment's kernel process. Standard library only, Python 3.6 syntax.

Every environment holds a copy beside `environ.py` and `settings.json`, so a kernel starts without colabenv. It runs
in two steps:

1. The Jupyter server starts it with `-I -S`, so that nothing of the base (PYTHONPATH, user site, `sitecustomize`) runs.
   It computes the kernel's variables and replaces itself with the environment's Python. This second start is needed
   because the dynamic loader reads LD_LIBRARY_PATH and LD_PRELOAD only once, before Python starts.
2. It makes the base's `google.colab` importable, and nothing else of the base (colab_package.py), and starts ipykernel.

If a warm process waits, which has already done the imports of the second step, the first step makes that process the
kernel and forwards signals to it (handover.py). This file also starts the warm process (`--warm`) and its supervisor
(`--keep`); both are in warm_supervisor.py.

Every IPython on Colab reads /etc/ipython, which names a kernel class that only the base has. Where the environment
cannot import that class, the launcher removes it from the configuration.
"""

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

#: Set for the second step; its value is the folder of the environment.
_PREFIX_VARIABLE = "COLABENV_KERNEL_PREFIX"
#: Set by switch_hook.py if this kernel replaces the session's default one. The copies of these two files lie in
#: different folders, so each spells the names of the variables between them.
_TAKEOVER_VARIABLE = "COLABENV_TAKEOVER"
#: Set for switch_hook.py, which then lets the session's own kernel start.
_BACK_VARIABLE = "COLABENV_SWITCH_BACK"
#: Set by the check, which needs a kernel that starts cold and must not use up the warm one.
COLD_VARIABLE = "COLABENV_COLD"
_SUPERVISOR_OPTION = "--keep"
_WARM_OPTION = "--warm"
_COLAB_KERNEL = "google.colab._kernel.Kernel"
#: ipykernel sets it before a kernel's first cell; matplotlib reads it when it is imported.
_BACKEND = "module://matplotlib_inline.backend_inline"


def main() -> None:
    """Run the first or the second step."""
    folder = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(folder, "settings.json"), encoding="utf-8") as file:
        settings = dict(json.load(file), folder=folder)
    if os.environ.pop(_PREFIX_VARIABLE, None) is None:
        sys.path.insert(0, folder)
        run_first_step(folder, settings)
        return
    warm = None
    if sys.argv[1:2] == [_WARM_OPTION]:
        warm = wait_as_warm_process(folder, settings)
    remove_from_path(folder)
    takeover = json.loads(os.environ.pop(_TAKEOVER_VARIABLE, "null"))
    try:
        start_kernel(settings, takeover, warm)
    except Exception as error:
        # The server restarts a default kernel that cannot start five times and then gives up. If a warm kernel
        # cannot start, its forwarder starts a cold one.
        if takeover is None or takeover.get("ready") or warm is not None:
            raise
        return_to_base(takeover, error)


def remove_from_path(folder: str) -> None:
    """Remove the launcher's folder from sys.path, so that a notebook's own modules are found."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != folder]


def run_first_step(folder: str, settings: "dict[str, Any]") -> None:
    """Become the environment's Python or the forwarder of a warm kernel; returns only if it starts a supervisor."""
    cold = os.environ.pop(COLD_VARIABLE, None) is not None
    variables = compute_kernel_variables(folder, settings)
    prefix = os.path.dirname(folder)

    def become(*arguments: str) -> "NoReturn":
        python = os.path.join(prefix, "bin", "python")
        command = [python, os.path.join(folder, "launcher.py"), *arguments]
        os.execve(python, command, dict(variables, **{_PREFIX_VARIABLE: prefix}))

    if sys.argv[1:2] == [_SUPERVISOR_OPTION]:
        import warm_supervisor

        def start(number: int) -> "NoReturn":
            become(_WARM_OPTION, str(number))

        warm_supervisor.supervise(prefix, settings["preload"], float(sys.argv[2]), start, variables)
        return
    if settings.get("preload") and not cold:
        try:
            import handover

            handover.offer_kernel(prefix, variables, sys.argv[1:])
        except Exception as reason:  # noqa: BLE001 - a cold kernel is better than none
            sys.stderr.write(f"colabenv: starting without the warm kernel: {reason}\n")
            sys.stderr.flush()
    become(*sys.argv[1:])


def wait_as_warm_process(folder: str, settings: "dict[str, Any]") -> "Any":
    """Import what a kernel and its first cell would import, and wait until this process is to become a kernel.

    Returns the connection to the supervisor. This process then has the variables, command line, streams and working
    directory that the server gave the kernel.
    """
    import importlib

    import warm_supervisor

    warm = warm_supervisor.WarmKernel(int(sys.argv[2]))
    for name in ("warm_supervisor", "handover"):
        del sys.modules[name]  # a notebook may have its own module of that name
    remove_from_path(folder)
    own_backend = os.environ.get("MPLBACKEND")
    os.environ.setdefault("MPLBACKEND", _BACKEND)
    settings["class"] = kernel_class(settings)
    for name in settings["preload"]:
        importlib.import_module(name)
    if own_backend is None:
        os.environ.pop("MPLBACKEND", None)
    warm.wait()
    return warm


def compute_kernel_variables(folder: str, settings: "dict[str, Any]") -> "dict[str, str]":
    """All variables of the kernel, computed from those that this process inherited."""
    import environ

    prefix = os.path.dirname(folder)
    libraries, programs = find_cuda_folders(prefix)
    variables = dict(settings["variables"])
    toolkit = os.path.dirname(programs[0]) if programs else ""
    if toolkit and os.path.isdir(os.path.join(toolkit, "nvvm", "libdevice")):
        # XLA looks for libdevice in the CUDA toolkit's folder and does not know the wheels.
        flags = os.environ.get("XLA_FLAGS", "")
        if "xla_gpu_cuda_data_dir" not in flags:
            flags = f"{flags} --xla_gpu_cuda_data_dir={toolkit}".strip()
        variables.setdefault("XLA_FLAGS", flags)
    inherited = dict(os.environ)
    if inherited.get("CLOUDSDK_PYTHON") == "python3" and settings.get("base_python"):
        # google.colab.auth starts `gcloud`, which needs the base's Python.
        inherited["CLOUDSDK_PYTHON"] = settings["base_python"]
    result = environ.environment_variables(
        inherited, prefix, variables=variables, library_paths=libraries, program_paths=programs
    )
    # Before the environment's own programs, so that a notebook's lines do not change what its lock pins.
    result["PATH"] = os.path.join(folder, "bin") + ":" + result["PATH"]
    result[environ.COMMANDS_VARIABLE] = prefix
    # debugpy warns at every start about CPython's frozen modules, which nobody debugs.
    result.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    return dict(result)


def find_cuda_folders(prefix: str) -> "tuple[list[str], list[str]]":
    """Folders of the shared libraries and of the programs (ptxas) in NVIDIA's wheels."""
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


def return_to_base(takeover: "dict[str, Any]", error: Exception) -> "NoReturn":
    """Start Colab's own kernel instead; its first cell shows why."""
    back = takeover["back"]
    reason = f"its kernel could not start ({type(error).__name__}: {error})"
    with open(back["notice"], "w", encoding="utf-8") as file:
        json.dump(dict(takeover["notice"], reason=reason), file)
    os.execve(back["argv"][0], back["argv"], dict(back["environ"], **{_BACK_VARIABLE: str(os.getpid())}))


def start_kernel(settings: "dict[str, Any]", takeover: "dict[str, Any] | None", warm: "Any" = None) -> None:
    """Second step: run ipykernel, with Colab's kernel class if this environment can import it.

    `takeover` says how to return to the session's own kernel, if this one replaces it; `warm` is the
    `warm_supervisor.WarmKernel` of a process that was warm.
    """
    if warm is None:
        application = kernel_class(settings).instance()
    else:
        # ipykernel ends when its parent is gone. It read the server's number when it was imported; the parent of a
        # warm kernel is the supervisor.
        parent = os.getppid() if "JPY_PARENT_PID" in os.environ else 0
        application = settings["class"].instance(parent_handle=parent)
    application.initialize()
    add_notebook_support(application, settings)
    if warm is not None:
        warm.report_start()
    if takeover is not None:
        takeover["ready"] = True
        if os.path.exists(takeover["attempts"]):
            os.unlink(takeover["attempts"])
    application.start()


def add_notebook_support(application: "Any", settings: "dict[str, Any]") -> None:
    """Register the magics of kernel_magics.py in the kernel's shell; the kernel starts in any case."""
    import runpy

    try:
        register = runpy.run_path(os.path.join(settings["folder"], "kernel_magics.py"))["register"]
        register(application.shell, os.path.dirname(settings["folder"]))
    except Exception as error:  # noqa: BLE001 - a kernel without these magics is better than none
        sys.stderr.write(f"colabenv: the notebook's own lines are not answered ({error!r})\n")


def kernel_class(settings: "dict[str, Any]") -> "Any":
    """Import ipykernel's application for this environment, and what it can use of the base's `google.colab`."""
    package, bytecode = settings.get("google_colab") or "", os.path.join(settings["folder"], "bytecode")
    with_kernel = with_modules = False
    if package:
        colab = load_file(os.path.join(settings["folder"], "colab_package.py"))
        with_kernel = settings["colab_kernel"] and colab.provide_whole(package, bytecode)
        with_modules = not with_kernel and colab.provide_modules(package, bytecode)
    from ipykernel.kernelapp import IPKernelApp

    return kernel_application(IPKernelApp, with_kernel, with_modules)


def load_file(path: str) -> "Any":
    """Import a file that lies beside this one. A notebook may have its own module of that name."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("colabenv_" + os.path.basename(path)[:-3], path)
    module: Any = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


def kernel_application(base: "type[Any]", with_kernel: bool, with_modules: bool = False) -> "type[Any]":
    """Subclass ipykernel's IPKernelApp.

    Args:
        base: IPKernelApp.
        with_kernel: whether Colab's kernel class can be imported here.
        with_modules: whether the modules of `google.colab` can be imported without it.
    """

    class EnvironmentKernelApp(base):  # type: ignore[misc]
        def load_config_file(self, *args: "Any", **kwargs: "Any") -> None:
            super().load_config_file(*args, **kwargs)
            if with_kernel:
                add_google_colab(self.config, _COLAB_KERNEL)
            elif with_modules:
                add_google_colab(self.config, kernel_with_colab_shell())
            else:
                return
            # Not this class's own method, which removes what was added.
            super().update_config(self.config)

        def update_config(self, config: "Any") -> None:
            # Before it takes effect: ipykernel ends if it cannot import a class.
            super().update_config(config if with_kernel else without_google_colab(config))

        def init_shell(self) -> None:
            super().init_shell()
            # Below Python 3.8, IPython 7 takes a `from __future__ import` after a magic for a top-level await, and the
            # cell fails. Notebooks of that time begin so: Colab had IPython 5.
            if self.shell is not None and sys.version_info < (3, 8):
                self.shell.autoawait = False

        def init_iopub(self, context: "Any") -> None:
            # As Colab's launcher does, so that long output is never dropped. Sockets take these options from their
            # context when they are made.
            import zmq

            options: Any = zmq
            context.setsockopt(options.SNDHWM, 0)
            context.setsockopt(options.RCVHWM, 0)
            super().init_iopub(context)

    EnvironmentKernelApp.__name__ = base.__name__
    return EnvironmentKernelApp


def kernel_with_colab_shell() -> "type[Any]":
    """A kernel of ipykernel's class with a shell that has the name of Colab's.

    Notebooks recognize Colab with `'google.colab' in str(get_ipython())`.
    """
    from ipykernel.ipkernel import IPythonKernel
    from ipykernel.zmqshell import ZMQInteractiveShell
    from traitlets import Type

    shell: Any = type("Shell", (ZMQInteractiveShell,), {"__module__": "google.colab._shell"})
    names = {"__module__": IPythonKernel.__module__, "shell_class": Type(shell)}
    return type(IPythonKernel.__name__, (IPythonKernel,), names)


def add_google_colab(config: "Any", kernel: "Any") -> None:
    """Name a kernel class and Colab's extension in IPython's merged configuration, in place."""
    config.IPKernelApp.kernel_class = kernel
    extensions = _list_extensions(config)
    if "google.colab" not in extensions:
        config.InteractiveShellApp.extensions = [*extensions, "google.colab"]


def without_google_colab(config: "Any") -> "Any":
    """A copy of IPython's configuration without Colab's kernel class and extensions."""
    import copy

    adapted = copy.deepcopy(config)
    if str(adapted.IPKernelApp.get("kernel_class", "")).startswith("google.colab"):
        adapted.IPKernelApp.kernel_class = "ipykernel.ipkernel.IPythonKernel"
    extensions = _list_extensions(adapted)
    kept = [name for name in extensions if name.split(".")[:2] != ["google", "colab"]]
    if kept != extensions:
        adapted.InteractiveShellApp.extensions = kept
    return adapted


def _list_extensions(config: "Any") -> "list[str]":
    """The extensions that a configuration names; one that only appends to the list has a lazy value."""
    named = config.InteractiveShellApp.get("extensions") or []
    return list(named.get_value([]) if hasattr(named, "get_value") else named)


if __name__ == "__main__":
    main()
