"""The `tls` blocks of sources and sinks, and the contexts that are made of them."""

from __future__ import annotations

from shotover.config.errors import ConfigError, Problem
from shotover.config.fields import Field, boolean, choice, integer, list_of, number, text
from shotover.config.models import Model, read_map
from shotover.config.reading import INVALID, Invalid, Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from shotover._net.tls_context import TlsContext
    from shotover.config.errors import Place
    from shotover.config.source import Node

ALPN_BYTES_MAX = 255
CONTEXT = "context"


class Block(Field):
    """A map that is a model of its own."""

    kind = "a map"

    def __init__(self, model: type[Model], **common: Any) -> None:
        super().__init__(**common)
        self.model = model

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        before = len(reader.problems)
        fields = read_map(node, place, reader, f"{self.kind}: the fields of {self.key}")
        if isinstance(fields, Invalid):
            return fields
        found = self.model.read(fields, place, reader)
        return found if len(reader.problems) == before else INVALID

    def plain(self, value: Any) -> Any:
        return None if value is None else written(value)


class Blocks(Block):
    """A list of such maps."""

    kind = "a list of maps"

    def read(self, node: Node, place: Place, reader: Reader) -> Any:
        listed = reader.sequence(node, place, self.expected)
        if isinstance(listed, Invalid):
            return listed
        found = [
            super(Blocks, self).read(child, place.item(index, child.line), reader)
            for index, child in enumerate(listed.items)
        ]
        return INVALID if INVALID in found else tuple(found)

    def plain(self, value: Any) -> Any:
        return [written(item) for item in value]


def written(model: Model) -> dict[str, Any]:
    """A model as it may be shown."""
    return {field.key: field.masked(getattr(model, name)) for name, field in model.fields.items()}


class CertificateConfig(Model):
    """A certificate and its key."""

    certificate_path: str = text(doc="PEM file: the certificate, then those it was signed with")
    private_key_path: str = text(doc="PEM file: its key, PKCS#8, PKCS#1 or SEC1")


class TlsConfig(Model):
    """What both sides have. Files are found from the working directory."""

    server = False

    certificate_path: str | None = text(default=None, doc="PEM file: the certificate")
    private_key_path: str | None = text(default=None, doc="PEM file: its key")
    certificate_authority_path: str | None = text(
        default=None, doc="PEM file: who must have signed the other side's certificate"
    )
    private_key_password_path: str | None = text(
        default=None, doc="file whose first line opens an encrypted key"
    )
    min_version: str = choice("1.2", "1.3", default="1.2", doc="the oldest version spoken")
    ciphers: str | None = text(
        default=None, doc="ciphers of TLS 1.2, as OpenSSL names them; null leaves it to OpenSSL"
    )
    ciphersuites: str | None = text(default=None, doc="the same for TLS 1.3")

    def options(self) -> dict[str, Any]:
        """What TlsContext is made with."""
        raise NotImplementedError

    @property
    def context(self) -> TlsContext:
        """The compiled context, made when it is first asked for; one for all workers."""
        found: TlsContext | None = self.__dict__.get(CONTEXT)
        if found is None:
            from shotover._net.tls_context import TlsContext

            found = self.__dict__[CONTEXT] = TlsContext(server=self.server, **self.options())
        return found

    def reread(self) -> str:
        """The files have changed: what they say now holds for connections from now on. Says what that is.

        Raises ConfigError when it cannot be used; then nothing has changed.
        """
        try:
            self.context.reload()
        except ValueError as error:
            raise ConfigError([Problem(self.place, str(error))]) from error
        left = self.context.seconds_left()
        if left is None:
            return "no certificate of its own"
        return f"a certificate that is good for {left // 86_400} days"

    def validate(self) -> Iterator[tuple[str, str | None]]:
        """Reads every file: what is wrong with one is said before anything listens."""
        for name in getattr(self, "alpn", None) or ():
            if len(name.encode()) > ALPN_BYTES_MAX:
                yield f"expected names of at most {ALPN_BYTES_MAX} bytes", "alpn"
                return
        from shotover._net.tls_context import TlsFileError

        try:
            _ = self.context
        except TlsFileError as error:
            field = "more_certificates" if error.field == "more" else error.field
            yield str(error), field
        except OSError as error:
            yield error.strerror or str(error), None


class TlsServerConfig(TlsConfig):
    """`tls` of a source: clients must speak TLS."""

    server = True

    certificate_path: str = text(doc="PEM file: the certificate, then those it was signed with")
    private_key_path: str = text(doc="PEM file: its key, PKCS#8, PKCS#1 or SEC1")
    certificate_authority_path: str | None = text(
        default=None,
        doc="PEM file: clients must show a certificate signed by one of these (mutual TLS)",
    )
    more_certificates: tuple[CertificateConfig, ...] = Blocks(  # type: ignore[assignment]
        model=CertificateConfig,
        default=(),
        doc="further certificates (`certificate_path`, `private_key_path`) for clients that ask "
        "for one of their names",
    )
    alpn: tuple[str, ...] | None = list_of(
        text(doc="a protocol"),
        default=None,
        doc="protocols offered by name (ALPN), most wanted first",
    )
    handshake_timeout: float = number(
        minimum=0.01, maximum=300, default=10, doc="seconds a handshake may take"
    )
    max_handshakes: int = integer(
        minimum=1,
        maximum=1_000_000,
        default=256,
        doc="handshakes under way at once, a worker; more wait in the kernel's queue",
    )

    def options(self) -> dict[str, Any]:
        return {
            "certificate_path": self.certificate_path,
            "private_key_path": self.private_key_path,
            "private_key_password_path": self.private_key_password_path,
            "certificate_authority_path": self.certificate_authority_path,
            "min_version": self.min_version,
            "ciphers": self.ciphers,
            "ciphersuites": self.ciphersuites,
            "alpn": self.alpn or (),
            "more": [
                (other.certificate_path, other.private_key_path) for other in self.more_certificates
            ],
        }


class TlsClientConfig(TlsConfig):
    """`tls` of a sink: its server speaks TLS."""

    certificate_authority_path: str | None = text(
        default=None,
        doc="PEM file: who must have signed the server's certificate; null trusts whom the system does",
    )
    certificate_path: str | None = text(
        default=None, doc="PEM file: the certificate to show to the server, for mutual TLS"
    )
    private_key_path: str | None = text(default=None, doc="PEM file: its key")
    verify_hostname: bool = boolean(
        default=True,
        doc="whether the certificate must name the host, or the address, that is connected to",
    )

    def options(self) -> dict[str, Any]:
        return {
            "certificate_path": self.certificate_path,
            "private_key_path": self.private_key_path,
            "private_key_password_path": self.private_key_password_path,
            "certificate_authority_path": self.certificate_authority_path,
            "verify_hostname": self.verify_hostname,
            "min_version": self.min_version,
            "ciphers": self.ciphers,
            "ciphersuites": self.ciphersuites,
        }

    def validate(self) -> Iterator[tuple[str, str | None]]:
        if (self.certificate_path is None) != (self.private_key_path is None):
            missing = "private_key_path" if self.certificate_path else "certificate_path"
            yield (
                f"expected certificate_path and private_key_path together or neither, {missing} is missing",
                None,
            )
            return
        yield from super().validate()


def tls_server() -> Any:
    return Block(
        model=TlsServerConfig, default=None, doc="TLS, which clients must speak then; see TLS"
    )


def tls_client(doc: str = "TLS to the server; null speaks plainly; see TLS") -> Any:
    return Block(model=TlsClientConfig, default=None, doc=doc)
