"""What happened to a cell, and why a failed cell failed. Pure; when in doubt, the environment is to blame."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from rescuelib.cells import defined_names, has_install_line, has_shell_line, is_no_python, used_names


class Kind(Enum):
    """How a cell ended."""

    RAN = "ran"
    #: It ran until its time was over.
    LIMITED = "limited"
    #: It failed because of what is installed.
    ENVIRONMENT = "environment"
    #: It failed because data, the network, credentials, Drive or a GPU is missing.
    DATA = "data"
    #: It fails in every environment: the published notebook shows the same error.
    OWN = "own"
    #: It was not reached, because the session was lost in an earlier cell.
    NOT_RUN = "not run"


class Failure(NamedTuple):
    """An exception: of a cell, or in the output of a program that the cell ran."""

    name: str
    message: str
    trace: str


@dataclass(frozen=True)
class Executed:
    """A cell that was run.

    Attributes:
        code: its source.
        status: `ok`, `error`, `limited`, `dead` (its kernel died) or `lost` (it could not be run).
        text: its output.
        failure: the exception that ended it, or None.
        published: the exception in the output that the notebook was published with, or None.
        may_fail: whether the notebook says that the cell raises an exception.
    """

    code: str
    status: str
    text: str = ""
    failure: Failure | None = None
    published: Failure | None = None
    may_fail: bool = False


@dataclass(frozen=True)
class Outcome:
    """The kind of a cell's end, and for a failure: its exception and, if a cell before caused it, that cell."""

    kind: Kind
    failure: Failure | None = None
    cause: int | None = None


#: Exceptions of programs that reach for a host. Nothing of what notebooks download is reachable here.
NETWORK = re.compile(
    r"(URLError|HTTPError|gaierror|MaxRetryError|NewConnectionError|ConnectionError|ConnectionRefusedError"
    r"|ConnectTimeout|ConnectTimeoutError|ReadTimeout|ReadTimeoutError|ProxyError|RemoteDisconnected|SSLError"
    r"|ConnectionResetError|ServerNotFoundError|TransportError|DownloadError|NonMatchingChecksumError"
    r"|LocalEntryNotFoundError|OfflineModeIsEnabled|ConnectError|APIConnectionError|FTPError|InvalidSchema)"
)
NETWORK_TEXT = re.compile(
    r"URL fetch failure|Name or service not known|[Tt]emporary failure in name resolution|Could not resolve"
    r"|[Nn]etwork is unreachable|Failed to establish a new connection|Connection refused|[Uu]nable to resolve host"
    r"|nodename nor servname|unable to access '(?:https?|git)|Max retries exceeded|Couldn't connect to server"
    r"|couldn't connect to|Could not connect to|Couldn't reach|Tunnel connection failed|Error downloading"
    r"|CERTIFICATE_VERIFY_FAILED|Cannot connect to host|Failed to connect to|Unable to fetch some archives"
    r"|503 Service Unavailable|403 Forbidden|HTTP Error \d\d\d|ERROR \d\d\d: |Could not read from remote repository"
    r"|can't be reached|error resolving|Resource .{1,40} not found"
)
CREDENTIALS = re.compile(
    r"SecretNotFoundError|NotebookAccessError|DefaultCredentialsError|AuthenticationError|OpenAIError"
    r"|MessageError|StdinNotImplementedError|UnauthorizedError|GatedRepoError|api_key|API key|kaggle\.json"
    r"|[Cc]ould not automatically determine credentials|[Aa]uthorization|credential"
    r"|Unauthenticated|not authenticated|Authentication required"
)
DEVICE = re.compile(
    r"GPU device not found|No GPU|no GPU|nvidia-smi|COLAB_TPU_ADDR|TPU_NAME|NVIDIA driver|CUDA is not available"
    r"|[Nn]o CUDA-capable device|not compiled with CUDA|TPUs? (?:not found|is not)|Please provide a TPU"
    r"|Found no NVIDIA|needs? a GPU|requires? a GPU|GPU is not available|failed to find.*TPU"
    r"|/job:\w+.*unknown device|device:GPU|OpKernel.*(?:GPU|XLA_TPU)"
)
EMPTY_FOLDER = re.compile(
    r"No (?:images|files) found|Found 0 (?:images|files)|No files matched|Directory is empty"
)
#: A file of the notebook's own is missing; the file of an installed package is not one of these.
FILES = re.compile(
    r"FileNotFoundError|NotFoundError|NotADirectoryError|IsADirectoryError|OSError|IOError|RuntimeError|error"
)
FILE_TEXT = re.compile(
    r"No such file or directory|does not exist|[Uu]nable to open file|not found\.?$|cannot access|can't open file"
    r"|File not found|_src\.empty\(\)|ssize\.empty\(\)"
    r"|Unsuccessful TensorSliceReader|Could not find directory"
)
INSTALLED = re.compile(r"(?:site|dist)-packages/[^:'\"]*(?:'|\"|$)|\.so(?:\.\d+)*\b|command not found")
#: Exceptions that code raises about names and calls, whatever their message mentions.
NEVER_DATA = {"AttributeError", "NameError", "TypeError", "SyntaxError", "IndentationError", "UsageError"}
#: Further exceptions that are about the environment even where a value is missing too.
NEVER_STALE = {"InstallError", "DeadKernelError", "NotImplementedError", "ContextualVersionConflict"}
#: The names of modules and programs, which a failing import or command shows.
IMPORTS = re.compile(r"(?:ModuleNotFound|Import)Error")
_FAILED_INSTALL = re.compile(
    r"^\s*(?:ERROR: (?!pip's dependency resolver|Operation cancelled|.*which is incompatible)|error: |E: "
    r"|Failed to build|CondaError|.*metadata-generation-failed|.*: command not found$|.*No matching distribution)",
    re.MULTILINE,
)
_PROGRAM_ERROR = re.compile(
    r"Traceback \(most recent call last\):.*?^(?P<name>[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning)?)"
    r"(?:: (?P<message>.*))?$",
    re.MULTILINE | re.DOTALL,
)
_UNKNOWN_NAME = re.compile(r"name '(\w+)' is not defined")
#: Cells that define names which are not in their code.
_HIDES_NAMES = re.compile(
    r"import\s*\*|%pylab|%run\b|%load\b|%store\b|\bexec\(|\bglobals\(|^\s*%%", re.MULTILINE
)
PYTHON_2_NAMES = {
    "xrange",
    "unicode",
    "raw_input",
    "reduce",
    "basestring",
    "long",
    "unichr",
    "reload",
    "file",
    "cmp",
}
_UNKNOWN_MODULE = re.compile(r"No module named '?(\w+)")
_STOPS_KERNEL = re.compile(r"os\.(?:kill|_exit)|quit\(|exit\(|do_shutdown|runtime\.unassign|\bkill -9\b")


def judge(cells: Sequence[Executed], modules: Collection[str] = ()) -> list[Outcome]:
    """The outcomes of a notebook's cells, in order.

    Args:
        cells: the cells.
        modules: modules of the notebook's own repository, which the user does not have beside the notebook.
    """
    outcomes: list[Outcome] = []
    for cell in cells:
        outcome = judge_cell(cell)
        if outcome.failure is not None and missing_module(outcome.failure) in modules:
            outcome = replace(outcome, kind=Kind.DATA)
        if outcome.kind is Kind.ENVIRONMENT and outcome.failure is not None:
            outcome = trace_back(outcome, outcome.failure, cells[: len(outcomes)], outcomes, cell.code)
        outcomes.append(outcome)
    return outcomes


def judge_cell(cell: Executed) -> Outcome:
    """The outcome of a cell, without a look at the cells before it."""
    if cell.status == "lost":
        return Outcome(Kind.NOT_RUN)
    if cell.status == "dead":
        wanted = _STOPS_KERNEL.search(cell.code) is not None
        return Outcome(Kind.RAN) if wanted else Outcome(Kind.ENVIRONMENT, Failure("DeadKernelError", "", ""))
    failure = cell.failure or program_failure(cell)
    if cell.status == "limited":
        return Outcome(Kind.LIMITED)
    if failure is None:
        return Outcome(Kind.RAN)
    return Outcome(kind_of(cell, failure), failure)


def kind_of(cell: Executed, failure: Failure) -> Kind:
    """The kind of a failure; `ENVIRONMENT` unless it is known to be another."""
    if failure.name == "SystemExit" or (cell.may_fail and not IMPORTS.search(failure.name)):
        return Kind.OWN
    if cell.published is not None and same_error(cell.published, failure):
        return Kind.OWN
    if is_about_data(failure):
        return Kind.DATA
    if failure.name in ("SyntaxError", "IndentationError") and is_no_python(cell.code):
        return Kind.OWN
    return Kind.ENVIRONMENT


def same_error(published: Failure, failure: Failure) -> bool:
    """Whether a notebook was published with this error. An import that failed then is still to be rescued."""
    if IMPORTS.search(failure.name) or failure.name == "KeyboardInterrupt":
        return False
    return (published.name, published.message.strip()) == (failure.name, failure.message.strip())


def is_about_data(failure: Failure) -> bool:
    """Whether data, the network, credentials, Drive or a GPU is missing."""
    text = f"{failure.name}: {failure.message}"
    if IMPORTS.search(failure.name) or failure.name in NEVER_DATA:
        return False
    if NETWORK.search(failure.name) or NETWORK_TEXT.search(text) or CREDENTIALS.search(text):
        return True
    if DEVICE.search(text) or EMPTY_FOLDER.search(text):
        return True
    # The exception that a library raises "from" the one of the network often does not mention it.
    first = failure.trace.partition("During handling of the above exception")[0]
    first = first.partition("The above exception was the direct cause")[0]
    if first != failure.trace and re.search(rf"^{NETWORK.pattern}\b", first, re.MULTILINE):
        return True
    return bool(FILES.search(failure.name) and FILE_TEXT.search(text) and not INSTALLED.search(text))


def missing_module(failure: Failure) -> str | None:
    """The top-level name of a module that was not found."""
    found = _UNKNOWN_MODULE.search(failure.message) if failure.name == "ModuleNotFoundError" else None
    return found[1] if found else None


def program_failure(cell: Executed) -> Failure | None:
    """The failure of a program that the cell ran: an installer, or a Python script that ended with an exception."""
    if not has_shell_line(cell.code):
        return None
    if has_install_line(cell.code):
        failed = _FAILED_INSTALL.search(cell.text)
        if failed:
            line_end = cell.text.find("\n", failed.end())
            line = cell.text[failed.start() : line_end if line_end > 0 else None].strip()
            whole = cell.text[-20000:]
            network = NETWORK_TEXT.search(whole)
            return Failure("InstallError", f"{line}{f' ({network[0]})' if network else ''}", whole)
    errors = list(_PROGRAM_ERROR.finditer(cell.text))
    if not errors:
        network = None if has_install_line(cell.code) else NETWORK_TEXT.search(cell.text)
        return Failure("ConnectionError", network[0], "") if network else None
    last = errors[-1]
    return Failure(last["name"].rpartition(".")[2], last["message"] or "", last[0])


def trace_back(
    outcome: Outcome, failure: Failure, before: Sequence[Executed], outcomes: Sequence[Outcome], code: str
) -> Outcome:
    """If a failed cell before caused this failure, the outcome has that cell's kind."""
    if failure.name != "NameError":
        return trace_stale_values(outcome, failure, outcomes, [cell.code for cell in before], code)
    name = _UNKNOWN_NAME.search(failure.message)
    if name is None:
        return outcome
    definer = last_definer(name[1], [cell.code for cell in before])
    if definer is not None:
        earlier = outcomes[definer]
        return outcome if earlier.kind in (Kind.RAN, Kind.NOT_RUN) else caused_by(outcome, earlier, definer)
    # Nothing before defines it: the notebook was published without a cell, or with its cells in another order.
    if name[1] in PYTHON_2_NAMES or any(_HIDES_NAMES.search(cell.code) for cell in before):
        return outcome
    return replace(outcome, kind=Kind.OWN)


def trace_stale_values(
    outcome: Outcome, failure: Failure, outcomes: Sequence[Outcome], before: Sequence[str], code: str
) -> Outcome:
    """Follow a failure to a cell that could not give one of its names a new value, for want of data or time.

    Exceptions that say what the environment lacks are not followed: Python looks up a function before its arguments.
    """
    if IMPORTS.search(failure.name) or failure.name in NEVER_DATA or failure.name in NEVER_STALE:
        return outcome
    for name in sorted(used_names(code)):
        definer = last_definer(name, before)
        if definer is not None and outcomes[definer].kind in (Kind.DATA, Kind.LIMITED):
            return caused_by(outcome, outcomes[definer], definer)
    return outcome


def last_definer(name: str, before: Sequence[str]) -> int | None:
    """The number of the last cell that defines a name, or None."""
    return next(
        (number for number in range(len(before) - 1, -1, -1) if name in defined_names(before[number])), None
    )


def caused_by(outcome: Outcome, earlier: Outcome, number: int) -> Outcome:
    """The outcome of a cell that failed because the cell with this number did."""
    return replace(outcome, kind=earlier.kind, cause=number if earlier.cause is None else earlier.cause)
