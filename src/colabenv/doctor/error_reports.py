"""Which errors a cause explains, and which distribution raised them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from colabenv.doctor.model import Distribution, ErrorReport, Facts, InstallRequest
from colabenv.importers.name_usages import NameUsage

#: Where packages lie. Any folder above them may be called like a module.
_PACKAGE_FOLDER = r"(?:(?:site|dist)-packages|python\d\.\d+|lib-dynload)/"


def errors_mentioning(facts: Facts, modules: Iterable[str], files: Iterable[str] = ()) -> tuple[str, ...]:
    """The sources of the errors whose traceback contains top-level modules or files."""
    names = "|".join(map(re.escape, modules))
    pattern = re.compile(rf"{_PACKAGE_FOLDER}(?:{names})[/.]|['\"](?:{names})['\".]") if names else None
    paths = tuple(files)
    return sources_of(
        error
        for error in facts.local_errors
        if (pattern and pattern.search(error.text)) or any(path in error.text for path in paths)
    )


def errors_involving(facts: Facts, *modules: str) -> tuple[str, ...]:
    """The sources of the errors that came through modules, or whose message names them."""
    return sources_of(
        error
        for error in facts.local_errors
        if message_names(error, *modules) or any(f"/{module}/" in error.text for module in modules)
    )


def message_names(error: ErrorReport, *modules: str) -> bool:
    """Whether an error's message names a module."""
    names = "|".join(map(re.escape, modules))
    return bool(re.search(rf"(?<![\w.])(?:{names})(?![\w-])", error.message))


def crashes(facts: Facts) -> tuple[str, ...]:
    """The sources of the processes that a signal ended. Broken libraries cause that without a traceback."""
    return sources_of(error for error in facts.local_errors if error.kind == "Killed")


def sources_of(errors: Iterable[ErrorReport]) -> tuple[str, ...]:
    """The source of each error."""
    return tuple(error.source for error in errors)


def evidence_of(items: Iterable[ErrorReport | InstallRequest | NameUsage]) -> tuple[str, ...]:
    """The evidence of each error or line of code."""
    return tuple(item.evidence for item in items)


def raising_distributions(
    facts: Facts, errors: Iterable[ErrorReport], *, ignore: str = ""
) -> Iterator[Distribution]:
    """For each error the distribution of its innermost frame in a package; paths with `ignore` in them do not count."""
    for error in errors:
        for file, _, _ in reversed(error.frames):
            module = re.search(r"/(?:site|dist)-packages/(\w+)", file)
            owners = facts.owners(module[1]) if module and not (ignore and ignore in file) else ()
            if owners:
                yield owners[0]
                break
