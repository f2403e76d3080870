"""Unix stream sockets: transports, names, credentials, and what is left of a path."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys

import pytest

import aioxide


def run(main):
    return aioxide.run(main())


class Recorder(asyncio.Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.data = b""
        self.made = asyncio.get_running_loop().create_future()
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.made.set_result(None)

    def data_received(self, data):
        self.data += data

    def connection_lost(self, exc):
        self.ended.set_result(self.data)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "socket")


async def pair(path):
    """A server, and the protocols of both ends of one connection."""
    loop = asyncio.get_running_loop()
    serving = Recorder()
    server = await loop.create_unix_server(lambda: serving, path)
    _, connecting = await loop.create_unix_connection(Recorder, path)
    await serving.made
    return server, serving, connecting


def test_both_ends_have_native_transports(path):
    async def main():
        server, serving, connecting = await pair(path)
        for protocol in (serving, connecting):
            assert type(protocol.transport) is aioxide._aioxide.SocketTransport
        assert serving.transport.get_extra_info("sockname") == path
        assert serving.transport.get_extra_info("peername") == ""
        assert connecting.transport.get_extra_info("peername") == path
        connecting.transport.write(b"from the client")
        serving.transport.write(b"from the server")
        connecting.transport.write_eof()
        assert await serving.ended == b"from the client"
        assert await connecting.ended == b"from the server"
        server.close()

    run(main)


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="Linux only")
def test_the_peers_credentials_can_be_asked_for(path):
    async def main():
        server, serving, connecting = await pair(path)
        sock = serving.transport.get_extra_info("socket")
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        assert struct.unpack("3i", credentials) == (os.getpid(), os.getuid(), os.getgid())
        connecting.transport.close()
        await serving.ended
        server.close()

    run(main)


@pytest.mark.skipif(sys.platform != "linux", reason="abstract names are Linux's")
@pytest.mark.parametrize("kind", [str, bytes])
def test_abstract_names_need_no_file(kind):
    name = f"\0aioxide-{os.getpid()}-{kind.__name__}"

    async def main():
        server, serving, connecting = await pair(name if kind is str else name.encode())
        assert serving.transport.get_extra_info("sockname") == name.encode()
        connecting.transport.close()
        await serving.ended
        server.close()

    run(main)


def test_a_bound_client_has_a_name(path):
    async def main():
        loop = asyncio.get_running_loop()
        serving = Recorder()
        server = await loop.create_unix_server(lambda: serving, path)
        client = socket.socket(socket.AF_UNIX)
        client.bind(path + ".client")
        client.setblocking(False)
        await loop.sock_connect(client, path)
        await serving.made
        assert serving.transport.get_extra_info("peername") == path + ".client"
        client.close()
        await serving.ended
        server.close()

    run(main)


def test_a_stale_socket_is_replaced_and_another_file_is_not(path):
    async def main():
        loop = asyncio.get_running_loop()
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(path)
        stale.close()
        server = await loop.create_unix_server(Recorder, path)
        server.close()
        await server.wait_closed()

        other = path + ".txt"
        with open(other, "w") as file:
            file.write("kept")
        with pytest.raises(OSError, match="is already in use"):
            await loop.create_unix_server(Recorder, other)
        with open(other) as file:
            assert file.read() == "kept"

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
@pytest.mark.parametrize("cleanup", [True, False])
def test_the_path_of_a_closed_server_goes_unless_that_is_not_wanted(path, cleanup):
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(Recorder, path, cleanup_socket=cleanup)
        server.close()
        assert os.path.exists(path) == (not cleanup)

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
def test_a_path_that_is_another_servers_by_now_stays(path):
    async def main():
        loop = asyncio.get_running_loop()
        first = await loop.create_unix_server(Recorder, path)
        os.unlink(path)
        keep = socket.socket(socket.AF_UNIX)
        keep.bind(path + ".keep")
        second = await loop.create_unix_server(Recorder, path)
        first.close()
        assert os.path.exists(path)
        second.close()
        assert not os.path.exists(path)
        keep.close()

    run(main)


def test_a_large_message_crosses_with_flow_control(path):
    data = os.urandom(1 << 20) * 4

    async def main():
        server, serving, connecting = await pair(path)
        connecting.transport.write(data)
        connecting.transport.close()
        assert await serving.ended == data
        server.close()

    run(main)


def test_streams_work_over_unix_sockets(path):
    async def main():
        async def echo(reader, writer):
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        server = await asyncio.start_unix_server(echo, path)
        async with server:
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"line\n")
            assert await reader.read() == b"line\n"
            writer.close()
            await writer.wait_closed()

    run(main)
