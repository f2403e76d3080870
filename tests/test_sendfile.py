"""Files that are sent with sendfile(2): by the loop, and by a transport."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import socket

import pytest

from sock_ends import run, until_waiting


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize(
    ("offset", "count"), [(0, None), (5, None), (0, 100), (1000, 2_000_000), (0, 10_000_000)]
)
def test_sendfile_sends_what_is_asked_for(pair, tmp_path, offset, count):
    async def main(loop):
        ours, theirs = pair
        data = os.urandom(3_000_000)
        (tmp_path / "file").write_bytes(data)
        wanted = data[offset:] if count is None else data[offset : offset + count]
        with (tmp_path / "file").open("rb") as file:
            task = asyncio.create_task(loop.sock_sendfile(ours, file, offset, count, fallback=False))
            got = bytearray()
            while len(got) < len(wanted):
                got += await loop.sock_recv(theirs, 1 << 16)
            assert await task == len(wanted)
            assert got == wanted
            assert file.tell() == offset + len(wanted)
        assert ours.fileno() not in loop._watched_fds()

    run(main)


def test_sendfile_of_nothing_and_of_no_file(pair, tmp_path):
    async def main(loop):
        ours, theirs = pair
        (tmp_path / "file").write_bytes(b"")
        with (tmp_path / "file").open("rb") as file:
            assert await loop.sock_sendfile(ours, file) == 0
        reader, writer = os.pipe()
        os.write(writer, b"from a pipe")
        with os.fdopen(reader, "rb") as file:
            with pytest.raises(asyncio.SendfileNotAvailableError):
                await loop.sock_sendfile(ours, io.BytesIO(b"x"), fallback=False)
            assert await loop.sock_sendfile(ours, io.BytesIO(b"abc")) == 3
            assert theirs.recv(10) == b"abc"
        os.close(writer)

    run(main)


def test_sendfile_cancelled_and_to_a_peer_that_goes_away(pair, tmp_path):
    async def main(loop):
        ours, theirs = pair
        (tmp_path / "file").write_bytes(bytes(8 << 20))
        with (tmp_path / "file").open("rb") as file:
            task = asyncio.create_task(loop.sock_sendfile(ours, file))
            await until_waiting(loop, ours.fileno())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ours.fileno() not in loop._watched_fds()
            for _ in range(3):
                theirs.recv(1 << 16)
            task = asyncio.create_task(loop.sock_sendfile(ours, file))
            await until_waiting(loop, ours.fileno())
            theirs.close()
            with pytest.raises(OSError) as raised:
                await task
            assert raised.value.errno in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)

    run(main)


def test_a_transport_sends_a_file(tmp_path):
    async def main(loop):
        data = os.urandom(3_000_000)
        (tmp_path / "file").write_bytes(data)
        sent = []

        async def serve(_, writer):
            with (tmp_path / "file").open("rb") as file:
                writer.write(b"before")
                sent.append(await loop.sendfile(writer.transport, file))
                writer.write(b"after")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await reader.read() == b"before" + data + b"after"
        assert sent == [len(data)]
        writer.close()
        server.close()

    run(main)
