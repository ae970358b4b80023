"""Hosts with addresses of their own on this machine: network namespaces on a bridge."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit


def missing() -> str:
    """Why there can be no hosts here; empty: there can."""
    if os.geteuid() != 0:
        return "hosts in network namespaces need root"
    if shutil.which("ip") is None:
        return "there is no `ip`: apt-get install iproute2"
    return ""


@dataclass(kw_only=True)
class Host:
    """A namespace with one address."""

    name: str
    address: str
    link: str
    """Its end of the cable on our side: down, the host is cut off."""

    def cut(self, *, off: bool) -> None:
        """Pulls the cable, or puts it back."""
        _ip(f"link set {self.link} {'down' if off else 'up'}")


@dataclass(frozen=True, kw_only=True)
class Town:
    """Hosts, and where this machine is for them."""

    address: str
    network: str
    hosts: tuple[Host, ...]


@contextmanager
def town(count: int) -> Iterator[Town]:
    """So many hosts, gone at the end with what runs in them."""
    token, third = secrets.token_hex(2), secrets.randbelow(254) + 1
    network = f"10.213.{third}"
    with ExitStack() as stack:
        street = f"lb{token}"
        _ip(f"link add {street} type bridge")
        stack.callback(_ip, f"link del {street}")
        _ip(f"addr add {network}.1/24 dev {street}")
        _ip(f"link set {street} up")
        hosts = []
        for number in range(2, count + 2):
            host = Host(
                name=f"{street}-{number}", address=f"{network}.{number}", link=f"{street}v{number}"
            )
            _ip(f"netns add {host.name}")
            stack.callback(_ip, f"netns del {host.name}")
            _ip(f"link add {host.link} type veth peer name eth0 netns {host.name}")
            stack.callback(_ip, f"link del {host.link}")
            _ip(f"link set {host.link} master {street} up")
            _ip(f"-n {host.name} addr add {host.address}/24 dev eth0")
            _ip(f"-n {host.name} link set eth0 up")
            _ip(f"-n {host.name} link set lo up")
            hosts.append(host)
        yield Town(address=f"{network}.1", network=f"{network}.0/24", hosts=tuple(hosts))


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)


@asynccontextmanager
async def reachable(url: str, address: str) -> AsyncIterator[str]:
    """The address of the database at a Unix socket, for those who reach this machine by network."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    folder = query["host"][0]
    port = query.get("port", ["5432"])[0]
    lines: set[asyncio.Task[None]] = set()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, OSError):
            back, forth = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}")
            both = [
                asyncio.create_task(_copy(reader, forth)),
                asyncio.create_task(_copy(back, writer)),
            ]
            lines.update(both)
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in both:
                task.cancel()
            forth.close()
        writer.close()

    async with AsyncExitStack() as stack:
        server = await asyncio.start_server(connect, address, 0)
        stack.callback(server.close)
        here = server.sockets[0].getsockname()[1]
        yield f"postgresql://{parts.username}:{parts.password}@{address}:{here}{parts.path}"
        for line in lines:
            line.cancel()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
