"""The server of the network rows: it gives back what it is given. ``echo_server.py PEER [KIND]``.

Prints its port, or the path of its socket, on one line and serves until it is killed.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import certificate
import peers

__all__ = ("KINDS",)

#: Largest piece that is asked for where a program has to say.
PIECE = 256 * 1024


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert hasattr(transport, "write")
        self.write = transport.write

    def data_received(self, data: bytes) -> None:
        self.write(data)


class DatagramEcho(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert hasattr(transport, "sendto")
        self.sendto = transport.sendto

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.sendto(data, addr)


async def serve_protocols() -> str:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=1024)
    return str(server.sockets[0].getsockname()[1])


async def serve_tls() -> str:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=1024, ssl=certificate.server_context())
    return str(server.sockets[0].getsockname()[1])


async def serve_unix() -> str:
    path = str(Path(tempfile.mkdtemp(prefix="aioxide-bench-")) / "socket")
    await asyncio.get_running_loop().create_unix_server(Echo, path)
    return path


async def serve_datagrams() -> str:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(DatagramEcho, ("127.0.0.1", 0))
    return str(transport.get_extra_info("sockname")[1])


async def serve_streams() -> str:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=1024)
    return str(server.sockets[0].getsockname()[1])


async def serve_lines() -> str:
    """Reads lines; gives back those that end a batch."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line == b"end\n":
                writer.write(line)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    return str(server.sockets[0].getsockname()[1])


async def serve_sockets() -> str:
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)

    async def echo(connection: socket.socket) -> None:
        with connection:
            while data := await loop.sock_recv(connection, PIECE):
                await loop.sock_sendall(connection, data)

    async def accept() -> None:
        while True:
            connection, _ = await loop.sock_accept(listener)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            running.add(loop.create_task(echo(connection)))

    running: set[asyncio.Task[None]] = set()
    running.add(loop.create_task(accept()))
    return str(listener.getsockname()[1])


KINDS: dict[str, Callable[[], Awaitable[str]]] = {
    "tcp": serve_protocols,
    "stream": serve_streams,
    "line": serve_lines,
    "sock": serve_sockets,
    "tls": serve_tls,
    "handshake": serve_tls,
    "unix": serve_unix,
    "udp": serve_datagrams,
}


async def serve(peer: peers.Loaded, kind: str) -> None:
    peer.check(asyncio.get_running_loop())
    address = await KINDS[kind]()
    print(address, flush=True)
    await asyncio.get_running_loop().create_future()


def main() -> None:
    peer = peers.load(sys.argv[1])
    kind = sys.argv[2] if len(sys.argv) > 2 else "tcp"
    with asyncio.Runner(loop_factory=peer.new_event_loop) as runner:
        runner.run(serve(peer, kind))


if __name__ == "__main__":
    main()
