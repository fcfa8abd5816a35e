"""Read failures from output: exceptions, and requirements for which pip or uv found no file."""

from __future__ import annotations

import re
from collections.abc import Iterator

from colabenv.doctor.model import ErrorReport
from colabenv.doctor.tracebacks import read_tracebacks, shorten, strip_colors

#: `ErrorReport.kind` of an installer that found no file for this Python.
NO_WHEEL = "NoWheel"

# Messages of pip 9 to 26 and uv 0.5 to 0.13.
_PIP = re.compile(r"^\s*(?:ERROR: )?No matching distribution found for (?P<wanted>[^\n]+)", re.MULTILINE)
_OTHER_PYTHON = re.compile(
    r"^\s*(?:ERROR: )?Package ['\"](?P<wanted>[^'\"]+)['\"] requires a different Python: [^\n]+", re.MULTILINE
)
_PLATFORM = re.compile(
    r"^\s*(?:ERROR: )?(?P<wheel>[\w.+-]+\.whl) is not a supported wheel on this platform", re.MULTILINE
)
_UV = re.compile(r"No solution found when resolving dependencies.*?(?=\n\s*\n|\Z)", re.DOTALL)
_UV_NO_WHEEL = re.compile(
    r"(?P<wanted>[A-Za-z0-9][\w.-]*(?:[=<>~!]=?[\w.*,<>=!]+)?) has no (?:usable )?wheels(?: with a matching)?|"
    r"we only found wheels for `(?P<hinted>[^`]+)` \(v(?P<version>[^)]+)\)|"
    r"the requested Python version \([^)]*\) does not satisfy Python[^ ]* and (?P<python>[\w.-]+[=<>~!]=[\w.]+)"
)


def read_errors(text: str, source: str, *, is_local: bool = True) -> tuple[ErrorReport, ...]:
    """The exceptions in a text, and the requirements that pip and uv could not install."""
    shortened = shorten(text)
    exceptions = tuple(read_tracebacks(shortened, source, is_local=is_local))
    installer = f"{source}, installing" if exceptions else source
    return (*exceptions, *find_missing_wheels(shortened, installer, is_local=is_local))


def find_missing_wheels(text: str, source: str, *, is_local: bool = True) -> Iterator[ErrorReport]:
    """Each requirement for which pip or uv found nothing that this Python can install.

    The errors have the kind `NO_WHEEL`, the requirement as `statement`, and the installer's message as `text`. A number
    is added to the `source` from the second one on.
    """
    clean = strip_colors(text).replace("\r\n", "\n")
    outputs: dict[str, str] = {}
    for wanted, output in (*_read_pip(clean), *_read_uv(clean)):
        outputs.setdefault(wanted.strip().split(" (")[0].rstrip(".,"), output.strip())
    outputs.pop("", None)
    for number, (requirement, output) in enumerate(outputs.items(), start=1):
        name = source if number == 1 else f"{source} ({number})"
        message = output.splitlines()[-1].strip()
        yield ErrorReport(name, requirement, NO_WHEEL, message, text=output, is_local=is_local)


def _read_pip(text: str) -> Iterator[tuple[str, str]]:
    for match in _PIP.finditer(text):
        # A line before it lists the releases that this Python could install.
        lines = text[: match.start()].splitlines()[-6:]
        versions = re.compile("Could not find a version|require a different python version")
        yield match["wanted"], "\n".join([*filter(versions.search, lines), match[0]])
    for match in _OTHER_PYTHON.finditer(text):
        yield match["wanted"], match[0]
    for match in _PLATFORM.finditer(text):
        parts = match["wheel"].split("-")
        yield (f"{parts[0]}=={parts[1]}" if len(parts) > 1 else parts[0]), match[0]


def _read_uv(text: str) -> Iterator[tuple[str, str]]:
    for block in _UV.finditer(text):
        end = text.find("\nhint:", block.end() - 1)
        output = text[block.start() : text.find("\n\n", end + 1) if end >= 0 else block.end()] or block[0]
        # uv breaks lines in the middle of a sentence, and draws a frame beside them.
        flat = " ".join(re.sub(r"[│├╰─▶┬×]+", " ", output).split())
        match = _UV_NO_WHEEL.search(flat)
        if match:
            hinted = f"{match['hinted']}=={match['version']}" if match["hinted"] else ""
            yield (match["wanted"] or hinted or match["python"] or ""), output
