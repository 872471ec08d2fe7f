"""Certificates of the tests' own authority, in files."""

from __future__ import annotations

import atexit
import datetime
import functools
import ipaddress
import shutil
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
DAY = datetime.timedelta(days=1)


class Issued:
    """A certificate and its key; `certificate` and `key` are paths."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.certificate = certificate
        self.key = key

    def fields(self) -> dict[str, str]:
        """As a `tls` block has them."""
        return {"certificate_path": str(self.certificate), "private_key_path": str(self.key)}


def _replace(path: Path, data: bytes) -> None:
    """Whoever reads the file meanwhile sees the old one or the new one, never half."""
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.replace(path)


class Authority:
    """Signs certificates into `directory`; `certificate` is the file of its own."""

    def __init__(self, directory: Path, name: str = "test authority") -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name)
        made = _builder(self.name, self.name, self.key, DAY)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.signed = made.sign(self.key, hashes.SHA256())
        self.certificate = directory / f"{name.replace(' ', '-')}.crt"
        self.certificate.write_bytes(self.signed.public_bytes(Encoding.PEM))

    def issue(
        self,
        name: str,
        *,
        dns: Sequence[str] = (),
        addresses: Sequence[str] = (),
        uris: Sequence[str] = (),
        lasts: datetime.timedelta = DAY,
        kind: str = "ec",
        form: PrivateFormat = PrivateFormat.PKCS8,
        password: bytes | None = None,
        file: str = "",
    ) -> Issued:
        """A certificate for `name`, in FILE.crt and FILE.key (by default: the name)."""
        key: Key = (
            ec.generate_private_key(ec.SECP256R1())
            if kind == "ec"
            else rsa.generate_private_key(65537, 2048)
        )
        names: list[Any] = [
            *map(x509.DNSName, dns),
            *(x509.IPAddress(ipaddress.ip_address(each)) for each in addresses),
            *map(x509.UniformResourceIdentifier, uris),
        ]
        made = _builder(_name(name), self.name, key, lasts)
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = made.sign(self.key, hashes.SHA256())
        file = file or name
        issued = Issued(self.directory / f"{file}.crt", self.directory / f"{file}.key")
        _replace(issued.certificate, signed.public_bytes(Encoding.PEM))
        lock = NoEncryption() if password is None else BestAvailableEncryption(password)
        _replace(issued.key, key.private_bytes(Encoding.PEM, form, lock))
        return issued

    def client_context(self, shown: Issued | None = None) -> ssl.SSLContext:
        """Of a client that trusts this authority, and shows a certificate if asked for one."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        if shown is not None:
            context.load_cert_chain(str(shown.certificate), str(shown.key))
        return context


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _builder(
    name: x509.Name, issuer: x509.Name, key: Key, lasts: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + lasts)
    )


class Usual:
    """What most tests use: an authority, a server on loopback, a client."""

    def __init__(self) -> None:
        directory = Path(tempfile.mkdtemp(prefix="certificates-"))
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        self.authority = Authority(directory)
        self.server = self.authority.issue("server", dns=["localhost"], addresses=["127.0.0.1"])
        self.client = self.authority.issue("client")

    def source(self, **more: Any) -> dict[str, Any]:
        """The `tls` block of a source."""
        return {**self.server.fields(), **more}

    def sink(self, **more: Any) -> dict[str, Any]:
        """The `tls` block of a sink."""
        return {"certificate_authority_path": str(self.authority.certificate), **more}

    def server_options(self) -> list[str]:
        """Of redis-server, beside the port."""
        return [
            "--tls-cert-file",
            str(self.server.certificate),
            "--tls-key-file",
            str(self.server.key),
            "--tls-ca-cert-file",
            str(self.authority.certificate),
        ]


@functools.cache
def usual() -> Usual:
    """Made once a process."""
    return Usual()
