"""When downloads change to the system's certificates."""

from __future__ import annotations

import pytest

from colabenv.system.certificates import SystemCertificates, find_system_certificates

UV = "  cause: client error (Connect)\n  cause: invalid peer certificate: UnknownIssuer\n"
OPENSSL = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
REQUESTS = (
    f"SSLError(SSLCertVerificationError(1, '{OPENSSL}unable to get local issuer certificate (_ssl.c:1006)'))"
)
SELF_SIGNED = f"{OPENSSL}self-signed certificate in certificate chain (_ssl.c:1006)"

needs_list = pytest.mark.skipif(
    not find_system_certificates(), reason="this system has no list of authorities"
)


@needs_list
@pytest.mark.parametrize("output", [UV, REQUESTS, SELF_SIGNED])
def test_unknown_authority_is_looked_up_in_the_systems_list(output: str) -> None:
    notes: list[str] = []
    certificates = SystemCertificates(notes.append)
    assert certificates.variables == {}
    assert certificates.use_if_rejected(output, {"PATH": "/bin"})
    assert certificates.use_if_rejected(output, {}, "store")
    assert certificates.variables == {"UV_SYSTEM_CERTS": "1", "PIP_CERT": find_system_certificates()}
    assert len(notes) == 1
    assert notes[0].startswith("The package index's certificate is not in the bundled list")


@pytest.mark.parametrize(
    ("output", "setting"),
    [
        (UV, "SSL_CERT_FILE"),
        (UV, "UV_SYSTEM_CERTS"),
        (UV, "UV_NATIVE_TLS"),
        (REQUESTS, "REQUESTS_CA_BUNDLE"),
        (REQUESTS, "PIP_CERT"),
    ],
)
def test_certificates_that_the_user_chose_are_kept(output: str, setting: str) -> None:
    assert not SystemCertificates().use_if_rejected(output, {setting: "false"})


@needs_list
def test_certificates_chosen_for_pip_do_not_concern_uv() -> None:
    assert SystemCertificates().use_if_rejected(UV, {"PIP_CERT": "/mine.pem"})


@pytest.mark.parametrize(
    "output",
    [
        "invalid peer certificate: certificate expired",
        "invalid peer certificate: NotValidForName",
        f"{OPENSSL}certificate has expired",
        f"{OPENSSL}Hostname mismatch, certificate is not valid for 'a'",
        "Connection refused",
    ],
)
def test_other_failures_change_nothing(output: str) -> None:
    certificates = SystemCertificates()
    assert not certificates.use_if_rejected(output, {})
    assert certificates.variables == {}
