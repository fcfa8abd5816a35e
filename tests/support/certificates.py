"""A private certificate authority, and a way to run programs with a system that trusts it."""

from __future__ import annotations

import datetime
import ipaddress
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from colabenv.system.certificates import find_system_certificates

_PEM = serialization.Encoding.PEM
# $0 is the list with the authority; it covers the system's list in a new mount namespace.
_MOUNT = 'mount --bind "$0" "$1" && shift && exec "$@"'


class Authority:
    """A private certificate authority with one server certificate, for 127.0.0.1 and localhost.

    Attributes:
        server: PEM file with the server's key and certificate.
    """

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test authority")])
        self._certificate = self._sign(self._name, self._key, authority=True)
        self.server, self._list = folder / "server.pem", folder / "authorities.pem"
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
        secret = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.server.write_bytes(secret + self._sign(name, key, authority=False).public_bytes(_PEM))
        self.server.chmod(0o600)

    def trusted_by_system(self) -> list[str]:
        """Words to put before a command so that the system trusts this authority; skips the test if impossible."""
        system = find_system_certificates()
        if not system:
            pytest.skip("this system has no list of certificate authorities")
        self._list.write_bytes(Path(system).read_bytes() + self._certificate.public_bytes(_PEM))
        command = ["unshare", "-m", "sh", "-c", _MOUNT, str(self._list), str(Path(system).resolve())]
        try:
            done = subprocess.run([*command, "true"], capture_output=True, text=True, timeout=30, check=False)
        except FileNotFoundError:
            pytest.skip("this system has no unshare")
        if done.returncode != 0:
            pytest.skip(f"this process may not mount: {done.stderr.strip()}")
        return command

    def _sign(self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool) -> x509.Certificate:
        now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            names = x509.SubjectAlternativeName([address, x509.DNSName("localhost")])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())
