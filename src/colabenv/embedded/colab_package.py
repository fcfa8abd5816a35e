"""The base's `google.colab` in an environment's kernel. Standard library only, Python 3.6 syntax.

There are two ways to provide it:

- whole, as the base has it, for a kernel of Colab's own class. That class works with IPython 7 only.
- its modules alone, for a kernel of ipykernel's class, with any IPython: `google.colab` is then a package that imports
  nothing by itself. Its modules send their requests to the page with ipykernel's sockets, which each kernel has.

A module that this Python or IPython cannot import explains that in one sentence.
"""

import contextlib
import importlib
import importlib.machinery
import importlib.util
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_PACKAGE = "google.colab"
#: Changes only how a notebook displays values, so a kernel works without it. Needs Python 3.8 (April 2026).
_OPTIONAL_MODULES = ("google.colab._reprs",)
#: Like these, but the module can be imported, and its functions need the newer Python: after each `!pip install`,
#: `_pip` lists packages with `importlib.metadata.packages_distributions`, to warn about packages in use.
_NEEDED_PYTHONS = {"google.colab._pip": (3, 10)}
#: Modules with magics that do not depend on Colab's kernel class.
_MAGICS_MODULES = ("google.colab._system_commands",)


class UnavailableModuleError(ImportError):
    """A module of `google.colab` that does not work in this environment. A notebook shows the message alone."""

    def _render_traceback_(self) -> "list[str]":
        return [str(self)]


def provide_whole(package: str, bytecode: str) -> bool:
    """Make the base's `google.colab`, the folder `package`, importable, and nothing else of the base.

    `bytecode` is a folder for its compiled modules, since the base must not change. Returns whether the kernel class
    was imported; if not, the reason is on standard error, which the server logs.
    """
    if not os.path.isdir(package):
        sys.stderr.write(f"colabenv: {package} is gone; starting a plain kernel\n")
        return False
    finder = ColabFinder(package, bytecode)
    sys.meta_path.insert(0, finder)
    try:
        importlib.import_module(_PACKAGE + "._kernel")
    except Exception as error:  # noqa: BLE001 - a plain kernel is better than none
        sys.meta_path.remove(finder)
        for name in list(sys.modules):
            if name == _PACKAGE or name.startswith(_PACKAGE + "."):
                del sys.modules[name]
        sys.stderr.write(
            f"colabenv: Colab's kernel cannot be used here ({error!r}); starting a plain kernel\n"
        )
        return False
    return True


def provide_modules(package: str, bytecode: str) -> bool:
    """Make the modules of the base's `google.colab` importable one by one; False if the folder is gone."""
    if not os.path.isdir(package):
        return False
    sys.meta_path.insert(0, ColabFinder(package, bytecode, whole=False))
    importlib.import_module(_PACKAGE)
    return True


class ColabFinder:
    """A meta path finder for `google.colab` and its modules.

    `google` stays the environment's own namespace (google-auth, protobuf and others); an empty one is supplied only if
    the environment has none.
    """

    def __init__(self, package: str, bytecode: str, whole: bool = True) -> None:
        self.package, self.bytecode, self.whole = package, bytecode, whole

    def find_spec(
        self,
        name: str,
        path: "Sequence[str] | None" = None,
        target: "ModuleType | None" = None,  # noqa: ARG002 - the finder protocol's
    ) -> "ModuleSpec | None":
        """The spec of a module; see `importlib.abc.MetaPathFinder`."""
        if name == "google":
            return self._find_google(name, path)
        if name == _PACKAGE and not self.whole:
            return _make_package_spec(name, [self.package], PackageLoader(self.package))
        if name != _PACKAGE and not name.startswith(_PACKAGE + "."):
            return None
        relative = name.split(".")[2:]
        folder = os.path.join(self.package, *relative[:-1]) if relative else os.path.dirname(self.package)
        loader = (self._make_loader, importlib.machinery.SOURCE_SUFFIXES)  # type: Any
        return importlib.machinery.FileFinder(folder, loader).find_spec(name)

    def _make_loader(self, name: str, path: str) -> "ModuleLoader":
        return ModuleLoader(name, path, self.package, self.bytecode)

    def _find_google(self, name: str, path: "Sequence[str] | None") -> "ModuleSpec | None":
        """None if another finder has `google`, else the spec of an empty package."""
        for finder in sys.meta_path:
            if (
                finder is not self
                and hasattr(finder, "find_spec")
                and finder.find_spec(name, path) is not None
            ):
                return None
        return _make_package_spec(name, [], None)


def _make_package_spec(name: str, folders: "list[str]", loader: "Any") -> "ModuleSpec":
    spec = importlib.machinery.ModuleSpec(name, loader, is_package=True)
    spec.submodule_search_locations = folders
    return spec


class ModuleLoader(importlib.machinery.SourceFileLoader):
    """Loads a module of the base. Bytecode is stored in the environment: the base must not even get a __pycache__."""

    def __init__(self, name: str, path: str, package: str, bytecode: str) -> None:
        super().__init__(name, path)
        self._package, self._bytecode = package, bytecode

    def get_data(self, path: "Any") -> bytes:
        """See `importlib.abc.ResourceLoader`."""
        return super().get_data(self._relocate(str(path)))

    def set_data(self, path: str, data: "Any", *, _mode: int = 0o666) -> None:
        """See `importlib.abc.SourceLoader`."""
        super().set_data(self._relocate(path), data, _mode=_mode)

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module; one that does not work here raises `UnavailableModuleError`."""
        __tracebackhide__ = True  # IPython leaves this frame out
        if sys.version_info < _NEEDED_PYTHONS.get(self.name, ()):
            module.__dict__["__getattr__"] = _make_idle_function
            return
        try:
            super().exec_module(module)
        except (ModuleNotFoundError, UnavailableModuleError):
            raise  # a package that the environment may still get, or a module that has explained itself
        except SyntaxError:
            if self.name in _OPTIONAL_MODULES:
                module.__dict__["__getattr__"] = _make_idle_function
                return
            raise self._explain("it needs a newer Python than %d.%d" % sys.version_info[:2]) from None
        except (ImportError, AttributeError) as error:
            raise self._explain(f"it does not fit the environment's packages ({error})") from error

    def _explain(self, reason: str) -> UnavailableModuleError:
        return UnavailableModuleError(
            f"{self.name} does not work in this environment: {reason}. If the notebook is attached to the environment, "
            "a cell that begins with %%base can use it.",
            name=self.name,
        )

    def _relocate(self, path: str) -> str:
        if not path.endswith(".pyc"):
            return path
        return os.path.join(self._bytecode, os.path.relpath(path, self._package))


def _make_idle_function(name: str) -> "Any":
    """A function that does nothing, as the attribute of a module that cannot be imported."""
    if name.startswith("__"):
        raise AttributeError(name)
    return lambda *_, **__: None


class PackageLoader:
    """Loads `google.colab` without running the base's `__init__`, which imports all modules and needs IPython 7."""

    def __init__(self, package: str) -> None:
        self._package = package

    def create_module(self, spec: "ModuleSpec") -> None:  # noqa: ARG002 - the loader protocol's
        """See `importlib.abc.Loader`."""
        return

    def exec_module(self, module: "ModuleType") -> None:
        """Fill the package: its modules are imported when they are first used."""
        module.__file__ = os.path.join(self._package, "__init__.py")
        module.__dict__["__getattr__"] = _import_attribute
        module.__dict__["load_ipython_extension"] = _register_magics


def _import_attribute(name: str) -> "ModuleType":
    """The module `google.colab.NAME`, for `google.colab.drive` after `import google.colab`."""
    full = f"{_PACKAGE}.{name}"
    if name.startswith("__") or importlib.util.find_spec(full) is None:
        raise AttributeError(f"module '{_PACKAGE}' has no attribute '{name}'")
    return importlib.import_module(full)


def _register_magics(shell: "Any") -> None:
    """`%load_ext google.colab`: register `%shell` and `%%shell`."""
    for name in _MAGICS_MODULES:
        with contextlib.suppress(Exception):  # a kernel without a magic is better than none
            importlib.import_module(name)._register_magics(shell)
