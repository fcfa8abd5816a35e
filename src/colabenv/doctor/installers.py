"""What pip and uv say when they cannot install, as complaints. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from colabenv.doctor.model import Complaint
from colabenv.doctor.tracebacks import plain

#: `Complaint.kind` of an installer that found no file for this Python.
NO_WHEEL = "NoWheel"

# pip 9 to 26 and uv 0.5 to 0.13, each by its own words.
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


def refusals_in(text: str, source: str, *, here: bool = True) -> Iterator[Complaint]:
    """Each requirement for which pip or uv found nothing that this Python can have.

    Args:
        text: the output of an installer, or of a cell that ran one; colours do no harm.
        source: as `Complaint.source`; a number is added from the second on.
        here: as `Complaint.here`.

    Returns:
        Complaints of the kind `NO_WHEEL`, whose `statement` is the requirement and whose text is what was said.
    """
    clean = plain(text).replace("\r\n", "\n")
    seen: set[str] = set()
    for wanted, said in (*_of_pip(clean), *_of_uv(clean)):
        requirement = wanted.strip().split(" (")[0].rstrip(".,")
        if requirement and requirement not in seen:
            seen.add(requirement)
            name = source if len(seen) == 1 else f"{source} ({len(seen)})"
            last = said.strip().splitlines()[-1].strip()
            yield Complaint(name, requirement, NO_WHEEL, last, text=said.strip(), here=here)


def _of_pip(text: str) -> Iterator[tuple[str, str]]:
    for found in _PIP.finditer(text):
        # The line before it lists the releases that this Python could have.
        before = [
            line
            for line in text[: found.start()].splitlines()[-6:]
            if "Could not find a version" in line or "require a different python version" in line
        ]
        yield found["wanted"], "\n".join([*before, found[0]])
    for found in _OTHER_PYTHON.finditer(text):
        yield found["wanted"], found[0]
    for found in _PLATFORM.finditer(text):
        parts = found["wheel"].split("-")
        yield (f"{parts[0]}=={parts[1]}" if len(parts) > 1 else parts[0]), found[0]


def _of_uv(text: str) -> Iterator[tuple[str, str]]:
    for block in _UV.finditer(text):
        end = text.find("\nhint:", block.end() - 1)
        said = text[block.start() : text.find("\n\n", end + 1) if end >= 0 else block.end()] or block[0]
        # uv breaks its lines in the middle of a sentence, and draws a frame beside them.
        flat = " ".join(re.sub(r"[│├╰─▶┬×]+", " ", said).split())
        found = _UV_NO_WHEEL.search(flat)
        if found:
            hinted = f"{found['hinted']}=={found['version']}" if found["hinted"] else ""
            yield (found["wanted"] or hinted or found["python"] or ""), said
