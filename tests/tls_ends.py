"""What the tests of TLS share: certificates made for the run, protocols that record, pairs of ends."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl

import pytest

import aioxide

x509 = pytest.importorskip("cryptography.x509")

HOST = "127.0.0.1"


def make_certificate(path, name: str, authority=None):
    """Write a key and its certificate to ``path``; return them for signing others."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    signer, issuer = (key, subject) if authority is None else (authority[0], authority[1].subject)
    usages = "digital_signature content_commitment key_encipherment data_encipherment key_agreement"
    usages += " key_cert_sign crl_sign encipher_only decipher_only"
    used = {"digital_signature", "key_cert_sign" if authority is None else ""}
    usage = x509.KeyUsage(**{name: name in used for name in usages.split()})
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(usage, critical=True)
        .sign(signer, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + certificate.public_bytes(encoding))
    return key, certificate


class Certificates:
    """An authority and what it has signed, as files."""

    def __init__(self, folder) -> None:
        self.authority = folder / "authority.pem"
        authority = make_certificate(self.authority, "authority")
        self.localhost = folder / "localhost.pem"
        make_certificate(self.localhost, "localhost", authority)
        self.other = folder / "other.pem"
        make_certificate(self.other, "other", authority)

    def server(self, path=None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path or self.localhost)
        return context

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=["direct", "memorybio"], autouse=True)
def way(request, monkeypatch):
    monkeypatch.setenv("AIOXIDE_TLS", request.param)
    return request.param


class Recorder(asyncio.Protocol):
    """Keeps what happens."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.events: list[str] = []
        self.made = asyncio.get_running_loop().create_future()
        self.lost = asyncio.get_running_loop().create_future()
        self.received = asyncio.Event()

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.events.append("made")
        self.made.set_result(transport)

    def data_received(self, data) -> None:
        self.data += data
        self.received.set()

    def eof_received(self) -> None:
        self.events.append("eof")

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def connection_lost(self, exc) -> None:
        self.events.append("lost")
        self.lost.set_result(exc)

    async def until(self, size: int) -> None:
        while len(self.data) < size:
            self.received.clear()
            await self.received.wait()


class Echo(Recorder):
    def data_received(self, data) -> None:
        self.transport.write(data)


class Pair:
    """A connected server and client."""

    def __init__(self, server: Recorder, client: Recorder) -> None:
        self.server, self.client = server, client


@contextlib.asynccontextmanager
async def pair(
    certificates, server_class=Recorder, client_class=Recorder, server=None, client=None, **options
):
    loop = asyncio.get_running_loop()
    made = []

    def factory():
        made.append(server_class())
        return made[-1]

    listener = await loop.create_server(factory, HOST, 0, ssl=server or certificates.server())
    try:
        _, protocol = await loop.create_connection(
            client_class,
            HOST,
            listener.sockets[0].getsockname()[1],
            ssl=client or certificates.client(),
            server_hostname="localhost",
            **options,
        )
        await made[0].made
        yield Pair(made[0], protocol)
        for end in (protocol, made[0]):
            end.transport.close()
        for end in (protocol, made[0]):
            await end.lost
    finally:
        listener.close()
        # Those that a failure has left.
        listener.abort_clients()
        await listener.wait_closed()


def run(main):
    return aioxide.run(main)


def is_direct(transport) -> bool:
    return transport._ssl_protocol._is_direct
