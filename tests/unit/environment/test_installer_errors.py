r"""The errors that colabenv makes from an installer's output.

The output is that of uv 0.13 and pip 25 and 26, recorded against an index on loopback that refused connections, sent
wrong data, closed connections early or was not running.
"""

from __future__ import annotations

import pytest

from colabenv.environment.installer_errors import classify_error, clean_output, extract_error_lines, redact
from colabenv.errors import (
    ColabenvError,
    CorruptError,
    DiskError,
    InstallError,
    NetworkError,
    UnsatisfiableError,
)

NOTHING_MATCHES = (
    "ERROR: Could not find a version that satisfies the requirement alpha (from versions: none)\n"
    "ERROR: No matching distribution found for alpha\n"
)

UNSATISFIABLE = {
    "uv conflict": "error: No solution found when resolving dependencies\n"
    "  cause: Because alpha<=1.0 depends on beta>=2 and you require alpha==1.0, we can conclude that you require "
    "beta>=2.\n         And because you require beta<2, we can conclude that your requirements are unsatisfiable.\n",
    "uv conflict over a package named like a network error": "error: No solution found when resolving dependencies\n"
    "  cause: Because sshtunnel==0.4.0 depends on paramiko>=2.7.2 and you require sshtunnel==0.4.0, we can conclude "
    "that you require paramiko>=2.7.2.\n",
    "uv unknown name": "error: No solution found when resolving dependencies\n"
    "  cause: Because nosuchthing was not found in the package registry and you require nosuchthing, we can conclude "
    "that your requirements are unsatisfiable.\n",
    "uv unknown version": "error: No solution found when resolving dependencies\n"
    "  cause: Because there is no version of alpha==9.9 and you require alpha==9.9, we can conclude that your "
    "requirements are unsatisfiable.\n",
    "uv other platform": "error: No solution found when resolving dependencies\n"
    "  cause: Because mac==1.0 has no wheels with a matching platform tag (e.g., `manylinux_2_36_x86_64`) and only "
    "mac==1.0 is available, we can conclude that all versions of mac cannot be used.\n\n"
    "hint: Wheels are available for `mac` (v1.0) on the following platform: `macosx_11_0_arm64`\n",
    "uv other Python": "error: No solution found when resolving dependencies\n"
    "  cause: Because newer==1.0 requires Python >=3.13 and only newer==1.0 is available, we can conclude that all "
    "versions of newer cannot be used.\n",
    "uv no wheel": "error: No solution found when resolving dependencies\n"
    "  cause: Because sdist==1.0 has no usable wheels and only sdist==1.0 is available, we can conclude that all "
    "versions of sdist cannot be used.\n",
    "pip conflict": "ERROR: Cannot install -r /tmp/colabenv-v3s49qy8/asked.txt (line 1) and beta<2 because these "
    "package versions have conflicting dependencies.\nERROR: ResolutionImpossible: for help visit the manual\n",
    "pip unknown name": NOTHING_MATCHES
    + "Could not fetch URL http://127.0.0.1:8000/simple/alpha/: 404 Client Error: Not Found for url: "
    "http://127.0.0.1:8000/simple/alpha/ - skipping\n",
    "pip unknown version": "ERROR: Could not find a version that satisfies the requirement alpha==9.9 (from versions: "
    "1.0, 2.0)\nERROR: No matching distribution found for alpha==9.9\n",
    "pip other Python": "ERROR: Package 'newer' requires a different Python: 3.11.7 not in '>=3.13'\n",
}

NETWORK = {
    "uv refused": "error: Failed to fetch: http://127.0.0.1:9/simple/alpha/\n"
    "  cause: error sending request for url (http://127.0.0.1:9/simple/alpha/)\n  cause: client error (Connect)\n"
    "  cause: tcp connect error\n  cause: Connection refused (os error 111)\n",
    "uv no such host": "error: Failed to fetch: http://index.invalid/simple/alpha/\n"
    "  cause: error sending request for url (http://index.invalid/simple/alpha/)\n  cause: client error (Connect)\n"
    "  cause: dns error\n  cause: failed to lookup address information: Name or service not known\n",
    "uv no TLS there": "error: Failed to fetch: https://127.0.0.1:38187/simple/alpha/\n"
    "  cause: error sending request for url (https://127.0.0.1:38187/simple/alpha/)\n"
    "  cause: client error (Connect)\n  cause: received corrupt message of type InvalidContentType\n",
    "uv 503": "error: Failed to fetch: http://127.0.0.1:38187/simple/alpha/\n"
    "  cause: HTTP status server error (503 Service Unavailable) for url (http://127.0.0.1:38187/simple/alpha/)\n",
    "uv 503 for a file": "Using Python 3.11.7 environment at: w/h16/env\r\nResolved 2 packages in 5ms\r\n"
    "error: Failed to download `alpha==1.0`\r\n  cause: Failed to fetch: "
    "http://127.0.0.1:38187/f/alpha-1.0-py3-none-any.whl\r\n  cause: HTTP status server error (503 Service "
    "Unavailable) for url (http://127.0.0.1:38187/f/alpha-1.0-py3-none-any.whl)\r\n",
    "uv cut off": "Resolved 1 package in 12ms\r\nDownloading big1 (5.7MiB)\r\nerror: Failed to download `big1==1.0`"
    "\r\n  cause: Failed to write to the distribution cache\r\n  cause: error decoding response body\r\n"
    "  cause: end of file before message length reached\r\n",
    "pip refused": NOTHING_MATCHES
    + "Could not fetch URL http://127.0.0.1:9/simple/alpha/: connection error: HTTPConnectionPool(host='127.0.0.1', "
    "port=9): Max retries exceeded with url: /simple/alpha/ (Caused by NewConnectionError('<pip._vendor.urllib3."
    "connection.HTTPConnection object at 0x7fe9cd4c9a10>: Failed to establish a new connection: [Errno 111] "
    "Connection refused')) - skipping\n",
    "pip no TLS there": NOTHING_MATCHES
    + "Could not fetch URL https://localhost:41723/simple/alpha/: There was a problem confirming the ssl certificate: "
    "HTTPSConnectionPool(host='localhost', port=41723): Max retries exceeded with url: /simple/alpha/ (Caused by "
    "SSLError(SSLError(1, '[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)'))) - skipping\n",
    "pip 503": NOTHING_MATCHES
    + "Could not fetch URL http://127.0.0.1:41723/simple/alpha/: HTTPConnectionPool(host='127.0.0.1', port=41723): "
    "Max retries exceeded with url: /simple/alpha/ (Caused by ResponseError('too many 503 error responses'))\n",
    "pip 503 for a file": "Looking in indexes: http://127.0.0.1:38187/simple\r\nCollecting alpha==1.0\r\n\x1b[31m"
    "ERROR: Could not install packages due to an OSError: HTTPConnectionPool(host='127.0.0.1', port=38187): Max "
    "retries exceeded with url: /f/alpha-1.0-py3-none-any.whl (Caused by ResponseError('too many 503 error "
    "responses'))\r\n\x1b[0m\x1b[31m\r\n\x1b[0m",
    "pip cut off": "Progress 262144 of 6002848\r\n\x1b[1;31merror\x1b[0m: \x1b[1mincomplete-download\x1b[0m\r\n\r\n"
    "\x1b[31m×\x1b[0m Download failed after 6 attempts because not enough bytes were received (3.0 MB/6.0 MB)\r\n",
}

DENIED = {
    "uv 401": "error: No solution found when resolving dependencies\n  cause: Because alpha was not found in the "
    "package registry and you require alpha, we can conclude that your requirements are unsatisfiable.\n\n"
    "hint: An index URL (http://127.0.0.1:38187/simple) could not be queried due to a lack of valid authentication "
    "credentials (401 Unauthorized)\n",
    "uv 403": "error: No solution found when resolving dependencies\n  cause: Because alpha was not found in the "
    "package registry and you require alpha, we can conclude that your requirements are unsatisfiable.\n\n"
    "hint: An index (http://127.0.0.1:38187/simple) returned a 403 Forbidden error. Check that the index URL is "
    "correct and the credentials are valid.\n",
    "pip 401": NOTHING_MATCHES
    + "Could not fetch URL http://127.0.0.1:41723/simple/alpha/: 401 Client Error: Unauthorized for url: "
    "http://127.0.0.1:41723/simple/alpha/ - skipping\n",
    "pip 403": NOTHING_MATCHES
    + "Could not fetch URL http://127.0.0.1:41723/simple/alpha/: 403 Client Error: Forbidden for url: "
    "http://127.0.0.1:41723/simple/alpha/ - skipping\n",
}

CORRUPT = {
    "uv hash": "Resolved 2 packages in 3ms\r\nerror: Failed to download `beta==2.0`\r\n  cause: Hash mismatch for "
    "`beta==2.0`\r\n\r\n         Expected:\r\n           sha256:0000\r\n\r\n         Computed:\r\n"
    "           sha256:462b\r\n",
    "uv archive": "error: Failed to download `alpha==1.0`\r\n  cause: Failed to extract archive: "
    "alpha-1.0-py3-none-any.whl\r\n  cause: Archive contains unacceptable filename: ����\r\n",
    "pip hash": "Collecting alpha==1.0\r\n\x1b[31mERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS "
    "FILE. If you have updated the package versions, please update the hashes.\r\n    alpha==1.0 from "
    "http://127.0.0.1:38187/f/alpha-1.0-py3-none-any.whl:\r\n        Expected sha256 0000\r\n"
    "             Got        dfaa\r\n\x1b[0m",
}

DISK = {
    "uv full": "Prepared 1 package in 15ms\r\nwarning: Failed to hardlink files; falling back to full copy. This may "
    "lead to degraded performance.\r\nerror: Failed to install: big1-1.0-py3-none-any.whl (big1==1.0)\r\n"
    "  cause: failed to copy file from cache/data.bin to\r\n         env/.tmp70qrkR: No space left on device "
    "(os error 28)\r\n",
    "pip full": "    raise Error(errors)\r\nshutil.Error: [('a/data.bin', 't/data.bin', \"[Errno 28] No space left on "
    "device: 'a/data.bin' -> 't/data.bin'\")]\x1b[0m\x1b[31m\r\n\x1b[0m",
}


@pytest.mark.parametrize(
    ("outputs", "error_class"),
    [
        pytest.param(UNSATISFIABLE, UnsatisfiableError, id="unsatisfiable"),
        pytest.param(NETWORK, NetworkError, id="network"),
        pytest.param(DENIED, NetworkError, id="denied"),
        pytest.param(CORRUPT, CorruptError, id="corrupt"),
        pytest.param(DISK, DiskError, id="disk"),
    ],
)
def test_recorded_output_becomes_the_right_error(
    outputs: dict[str, str], error_class: type[ColabenvError]
) -> None:
    for name, output in outputs.items():
        error = classify_error("installing", output)
        assert type(error) is error_class, name
        assert error.hint, name
        assert error.detail.strip(), name
        assert "\x1b" not in error.detail, name
        assert "\r" not in error.detail, name


def test_denied_access_suggests_checking_the_credentials() -> None:
    for name, output in DENIED.items():
        error = classify_error("resolving the profile", output)
        assert error.message == "The package index refused access while resolving the profile.", name
        assert "credentials" in error.hint, name


def test_unknown_output_is_kept_in_the_detail() -> None:
    error = classify_error("installing", "error: the moon is in the wrong phase\n")
    assert type(error) is InstallError
    assert error.detail == "error: the moon is in the wrong phase"


def test_error_without_output_names_the_failed_step() -> None:
    error = classify_error("creating the virtual environment", "")
    assert type(error) is InstallError
    assert "creating the virtual environment" in error.message


def test_progress_lines_are_removed_from_a_conflict() -> None:
    output = (
        "Using Python 3.11.7 environment at: x\r\n⠋ Preparing packages... (1/5)\r\n"
        + UNSATISFIABLE["uv conflict"]
    )
    assert extract_error_lines(output).startswith("error: No solution found")
    assert "And because you require beta<2" in extract_error_lines(output)


def test_last_line_of_a_traceback_is_kept() -> None:
    frames = "".join(f'  File "pip/module{number}.py", line 1, in run\n    call()\n' for number in range(40))
    output = f"ERROR: Exception:\nTraceback (most recent call last):\n{frames}ValueError: check_hostname requires it\n"
    assert extract_error_lines(output).splitlines()[-1] == "ValueError: check_hostname requires it"
    assert len(extract_error_lines(output).splitlines()) == 20


def test_only_the_end_of_long_output_is_kept() -> None:
    assert extract_error_lines("\n".join(f"line {number}" for number in range(100))).splitlines() == [
        f"line {number}" for number in range(80, 100)
    ]


def test_clean_output_keeps_the_last_state_of_a_redrawn_line() -> None:
    assert clean_output("\x1b[31ma\x1b[0m\r\n1 of 3\r2 of 3\r3 of 3\nend  ") == "a\n3 of 3\nend"


def test_credentials_in_urls_are_hidden() -> None:
    redacted = {
        "at https://bob:hunter22@host/simple": "at https://****@host/simple",
        "at https://token@host/simple": "at https://****@host/simple",
        "at https://bob:p@ss:w@host:80/x and http://a:b@c": "at https://****@host:80/x and http://****@c",
        "git+ssh://git:tok3n@host/repo": "git+ssh://****@host/repo",
        "mail bob@host.example about https://host/a@b": "mail bob@host.example about https://host/a@b",
    }
    assert {text: redact(text) for text in redacted} == redacted


def test_secrets_are_hidden_everywhere() -> None:
    output = "error: tok3n-x refused at http://u:tok3n-x@127.0.0.1/: 401 Unauthorized"
    error = classify_error("installing", output, ("tok3n-x",))
    assert "tok3n-x" not in error.detail
    assert "tok3n-x" not in str(error.as_dict())


def test_short_secrets_are_not_replaced() -> None:
    assert redact("a package", ("a",)) == "a package"
