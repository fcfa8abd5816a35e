"""When downloads switch to the system's certificates."""

from __future__ import annotations

import pytest

from colabenv.system.certificates import SystemCertificates, find_system_certificates

UV = "  cause: client error (Connect)\n  cause: invalid peer certificate: UnknownIssuer\n"
OPENSSL = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
REQUESTS = (
    f"SSLError(SSLCertVerificationError(1, '{OPENSSL}unable to get local issuer certificate (_ssl.c:1006)'))"
)
SELF_SIGNED = f"{OPENSSL}self-signed certificate in certificate chain (_ssl.c:1006)"

needs_system_certificates = pytest.mark.skipif(
    not find_system_certificates(), reason="this system has no list of certificate authorities"
)


@needs_system_certificates
@pytest.mark.parametrize("output", [UV, REQUESTS, SELF_SIGNED], ids=["uv", "pip", "self-signed"])
def test_unknown_certificate_authority_enables_the_system_certificates(output: str) -> None:
    notes: list[str] = []
    certificates = SystemCertificates(notes.append)
    assert certificates.variables == {}
    assert certificates.use_if_rejected(output, {"PATH": "/bin"})
    assert certificates.use_if_rejected(output, {}, "store")
    assert certificates.variables == {"UV_SYSTEM_CERTS": "1", "PIP_CERT": find_system_certificates()}
    assert len(notes) == 1
    assert notes[0].startswith("The package index's certificate is not in the bundled list")


def test_certificates_that_the_user_configured_are_kept() -> None:
    for output, variable in (
        (UV, "SSL_CERT_FILE"),
        (UV, "UV_SYSTEM_CERTS"),
        (UV, "UV_NATIVE_TLS"),
        (REQUESTS, "REQUESTS_CA_BUNDLE"),
        (REQUESTS, "PIP_CERT"),
    ):
        assert not SystemCertificates().use_if_rejected(output, {variable: "false"}), variable


@needs_system_certificates
def test_certificates_for_pip_do_not_affect_uv() -> None:
    assert SystemCertificates().use_if_rejected(UV, {"PIP_CERT": "/mine.pem"})


def test_other_errors_do_not_enable_the_system_certificates() -> None:
    for output in (
        "invalid peer certificate: certificate expired",
        "invalid peer certificate: NotValidForName",
        f"{OPENSSL}certificate has expired",
        f"{OPENSSL}Hostname mismatch, certificate is not valid for 'a'",
        "Connection refused",
    ):
        certificates = SystemCertificates()
        assert not certificates.use_if_rejected(output, {}), output
        assert certificates.variables == {}, output
