"""The system's list of certificate authorities, for servers whose certificate a bundled list rejects.

uv, pip and requests ship Mozilla's list, which does not contain the authority of a company's proxy.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

_OPENSSL_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
# How a TLS library reports an authority that is not in its list, and how the user names certificates to what uses that
# library. An expired certificate, or one for another host, is rejected by every list.
_UV_VARIABLES = (*_OPENSSL_VARIABLES, "UV_SYSTEM_CERTS", "UV_NATIVE_TLS")
_PIP_VARIABLES = (*_OPENSSL_VARIABLES, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")
_REJECTIONS = {
    re.compile("invalid peer certificate: UnknownIssuer"): _UV_VARIABLES,  # rustls
    re.compile(r"CERTIFICATE_VERIFY_FAILED\].{0,80}(self.signed|local issuer)"): _PIP_VARIABLES,  # OpenSSL
}
# Debian, Fedora, openSUSE, Alpine and macOS.
_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class SystemCertificates:
    """Whether this run's downloads use the system's certificates: from the first rejection on, which `note` reports."""

    def __init__(self, note: Callable[[str], None] = lambda _: None) -> None:
        self._note = note
        self._lock = threading.Lock()
        self.path = ""

    @property
    def variables(self) -> dict[str, str]:
        """The variables that make uv and pip use them; empty before a rejection."""
        return {"UV_SYSTEM_CERTS": "1", "PIP_CERT": self.path} if self.path else {}

    def use_if_rejected(self, output: str, environ: Mapping[str, str], server: str = "package index") -> bool:
        """Use the system's certificates from now on if a program's output says that it rejected a server's.

        The certificates that the user chose in `environ` stay. Returns whether to try again.
        """
        settings = next((names for pattern, names in _REJECTIONS.items() if pattern.search(output)), None)
        if settings is None or any(environ.get(name) for name in settings):
            return False
        with self._lock:
            if not self.path:
                self.path = find_system_certificates()
                if self.path:
                    self._note(
                        f"The {server}'s certificate is not in the bundled list; using this system's certificates."
                    )
        return bool(self.path)


def find_system_certificates() -> str:
    """The system's file of certificate authorities, or ""."""
    import ssl  # noqa: PLC0415 - 14 ms that most runs save

    paths = (ssl.get_default_verify_paths().cafile, *_FILES)
    return next((path for path in paths if path and Path(path).is_file()), "")
