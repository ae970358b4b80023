"""Small servers for tests of clients: each counts the connections that reach it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

_OVER = (asyncio.IncompleteReadError, asyncio.CancelledError, OSError)
"""How a connection, or the test, ends."""

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Listener:
    """A server on loopback, what reached it, and how it answers."""

    port: int = 0
    connects: int = 0
    requests: list[bytes] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    """The names that TLS clients asked for."""
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def hang_up(self) -> None:
        """Ends every connection there is, and lets the other side hear of it."""
        for writer in list(self.writers):
            writer.transport.abort()
        await asyncio.sleep(0.05)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def says(*parts: bytes, every: float = 0.0) -> Answer:
    """An answer in these parts, with a pause after each."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(every)

    return answer


def closing(*parts: bytes, every: float = 0.0) -> Answer:
    """As `says`, and then the end of the connection."""
    spoken = says(*parts, every=every)

    async def answer(writer: asyncio.StreamWriter) -> None:
        await spoken(writer)
        writer.close()

    return answer


async def for_ever(writer: asyncio.StreamWriter) -> None:
    """A body without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x" * 65_536)
        await writer.drain()


async def hangs_up(writer: asyncio.StreamWriter) -> None:
    """No answer at all."""
    writer.close()


@asynccontextmanager
async def listening(
    answer: Answer | None = None,
    *,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    limit: int = 65_536,
) -> AsyncIterator[Listener]:
    """A listener that answers each request by `answer` and keeps the connection."""
    listener = Listener()
    respond = answer or says(OK)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.connects += 1
        listener.writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        size = int(line.split(b":")[1])
                listener.requests.append(head + await reader.readexactly(size))
                await respond(writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            listener.writers.discard(writer)
            writer.close()

    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: listener.names.append(name)
    server = await asyncio.start_server(serve, host, 0, ssl=tls, limit=limit)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        server.close()
        for writer in list(listener.writers):
            writer.transport.abort()


@dataclass
class Forward:
    """A proxy on loopback that knows names of its own, and what it was asked for."""

    names: dict[str, int] = field(default_factory=dict)
    """Ports on loopback by the names that lead to them."""
    port: int = 0
    asked: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def forwarding(names: dict[str, int]) -> AsyncIterator[Forward]:
    """A proxy that tunnels CONNECT and forwards plain requests; 403 for a name it has not."""
    proxy = Forward(names)
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while part := await reader.read(65_536):
                writer.write(part)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(*_OVER), contextlib.closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            proxy.asked.append(head)
            method, place, _ = head.split(b"\r\n")[0].decode().split(" ")
            name = place.removeprefix("http://").split("/")[0].rsplit(":", 1)[0]
            if name not in proxy.names:
                writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
                return
            there, back = await asyncio.open_connection("127.0.0.1", proxy.names[name])
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                back.write(head.replace(f"http://{place[7:].split('/')[0]}".encode(), b"", 1))
            try:
                await asyncio.gather(pump(reader, back), pump(there, writer))
            finally:
                back.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def certificate(directory: Path, *names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for these names, and a client's that trusts it and nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(_dns(names)), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = directory / "certificate.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    client = ssl.create_default_context(cafile=str(file))
    return server, client


def _dns(names: Sequence[str]) -> list[x509.GeneralName]:
    return [x509.DNSName(name) for name in names]
