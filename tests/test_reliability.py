"""Connections that are cut, delayed, split and truncated anywhere; garbage; slow readers; many connections.

``AIOXIDE_SOAK=1000000`` makes so many connections in the soak test; by default it is a few thousand. ``pytest -s`` shows
the memory and the descriptors after each tenth of them.
"""

# The fixtures of tls_ends and proxy_ends are arguments here.
# ruff: noqa: F811

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
from pathlib import Path

import pytest

import aioxide
from proxy_ends import (  # noqa: F401
    ANSWER,
    EXPECTED,
    Half,
    Proxy,
    answer,
    ask,
    contexts,
    descriptors,
    run,
    total_bytes,
)
from tls_ends import HOST, certificates  # noqa: F401

SOAK = int(os.environ.get("AIOXIDE_SOAK", "3000"))


def resident() -> int:
    """KiB in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


@pytest.mark.parametrize("how", ["close", "reset", "half"])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_connection_that_is_cut_anywhere_ends_in_an_error_or_whole(contexts, direction, how):
    server_context, client_context = contexts

    async def main():
        server = await aioxide.start_server(answer, HOST, 0, ssl=server_context)
        port = server.sockets[0].getsockname()[1]
        whole = (await total_bytes(port, client_context))[direction]
        ended = {"whole": 0, "error": 0}
        for cut in range(whole + 1):
            async with Proxy(port, cut=cut, direction=direction, how=how) as proxy:
                try:
                    async with asyncio.timeout(10):
                        text = await ask(proxy.port, client_context)
                except EXPECTED as error:
                    assert not isinstance(error, TimeoutError), f"it hangs when cut at {cut}"
                    ended["error"] += 1
                else:
                    assert text == ANSWER
                    ended["whole"] += 1
        assert ended["error"]
        server.close()
        server.abort_clients()
        await server.wait_closed()

    run(main)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_delay_anywhere_changes_nothing(contexts, direction):
    server_context, client_context = contexts

    async def main():
        server = await aioxide.start_server(answer, HOST, 0, ssl=server_context)
        port = server.sockets[0].getsockname()[1]
        whole = (await total_bytes(port, client_context))[direction]

        async def ask_delayed(place):
            async with Proxy(port, delay=place, direction=direction) as proxy:
                assert await ask(proxy.port, client_context) == ANSWER

        # They wait together.
        for first in range(0, whole, 50):
            await asyncio.gather(*map(ask_delayed, range(first, min(first + 50, whole))))
        server.close()
        await server.wait_closed()

    run(main)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_bytes_in_another_order_are_an_error_with_tls_and_what_they_are_without(contexts, direction):
    server_context, client_context = contexts
    ended = {"whole": 0, "other": 0, "error": 0}

    async def main():
        server = await aioxide.start_server(answer, HOST, 0, ssl=server_context, **swift(server_context))
        port = server.sockets[0].getsockname()[1]
        whole = (await total_bytes(port, client_context))[direction]

        async def ask_swapped(place):
            async with Proxy(port, swap=place, direction=direction) as proxy:
                try:
                    # A length that has changed makes the other side wait for more.
                    async with asyncio.timeout(0.5):
                        text = await ask(proxy.port, client_context, shutdown=0.1)
                except EXPECTED:
                    ended["error"] += 1
                else:
                    ended["whole" if text == ANSWER else "other"] += 1
                    assert sorted(text) == sorted(ANSWER)

        for first in range(0, whole, 50):
            await asyncio.gather(*map(ask_swapped, range(first, min(first + 50, whole))))
        assert await ask(port, client_context) == ANSWER
        server.close()
        server.abort_clients()
        await server.wait_closed()

    run(main)
    if client_context is not None:
        # What was changed after the end of the exchange is found by nobody: the peer does not read any more.
        assert ended["other"] == 0
        assert ended["error"] > ended["whole"]
    elif direction == "up":
        assert ended["error"] > 0
        assert ended["other"] == 0
    else:
        assert ended["error"] == 0
        assert ended["other"] > 0


def swift(context):
    """Options of a server whose clients are not waited for."""
    return {"ssl_handshake_timeout": 1, "ssl_shutdown_timeout": 0.1} if context else {}


def test_pieces_of_any_size_are_put_together(contexts):
    server_context, client_context = contexts

    async def main():
        server = await aioxide.start_server(answer, HOST, 0, ssl=server_context)
        async with Proxy(server.sockets[0].getsockname()[1], split=True) as proxy:
            for _ in range(5):
                assert await ask(proxy.port, client_context) == ANSWER
        server.close()
        await server.wait_closed()

    run(main)


def test_garbage_does_not_stop_a_server(contexts):
    server_context, client_context = contexts
    chance = random.Random(7)

    async def shout(port, data):
        reader, writer = await aioxide.open_connection(HOST, port)
        with contextlib.suppress(*EXPECTED):
            writer.write(data)
            if chance.random() < 0.5:
                writer.write_eof()
            async with asyncio.timeout(0.01):
                await reader.read()
        writer.transport.abort()

    async def main():
        server = await aioxide.start_server(answer, HOST, 0, ssl=server_context)
        port = server.sockets[0].getsockname()[1]
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
        for number in range(150):
            data = chance.randbytes(chance.choice([1, 5, 100, 5000]))
            if number % 3 == 0:
                # It begins as TLS does: a record's head, or the head of a client's hello.
                data = hello[: chance.randrange(3, len(hello) + 1)] + data
            await shout(port, data)
            if number % 30 == 0:
                assert await ask(port, client_context) == ANSWER
        assert await ask(port, client_context) == ANSWER
        server.close()
        server.abort_clients()
        await server.wait_closed()

    run(main)


def test_records_that_are_broken_on_the_way_end_their_connection_only(certificates):
    chance = random.Random(11)

    class Breaking(Proxy):
        at = 0

    async def main():
        server = await aioxide.start_server(answer, HOST, 0, ssl=certificates.server())
        port = server.sockets[0].getsockname()[1]
        whole = await total_bytes(port, certificates.client())
        for _ in range(60):
            direction = chance.choice(["up", "down"])
            at = chance.randrange(whole[direction])

            async with Breaking(port) as proxy:
                proxy.direction, proxy.at = direction, at
                forward = Half.send

                def send(half, data, forward=forward, proxy=proxy, direction=direction, at=at):
                    passed = proxy.passed[half.direction]
                    if (
                        half.proxy is proxy
                        and half.direction == direction
                        and passed <= at < passed + len(data)
                    ):
                        broken = bytearray(data)
                        broken[at - passed] ^= 1 << chance.randrange(8)
                        data = bytes(broken)
                    forward(half, data)

                Half.send = send
                try:
                    async with asyncio.timeout(0.25):
                        assert await ask(proxy.port, certificates.client(), shutdown=0.1) == ANSWER
                except EXPECTED:
                    # Also TimeoutError: a length that was broken makes the other side wait for more.
                    pass
                finally:
                    Half.send = forward
        assert await ask(port, certificates.client()) == ANSWER
        server.close()
        server.abort_clients()
        await server.wait_closed()

    run(main)


def test_a_slow_reader_holds_no_more_than_the_water_mark(contexts):
    server_context, client_context = contexts
    piece, high = b"x" * 10_000, 100_000

    class Flood(asyncio.Protocol):
        most = written = 0
        paused = False

        def connection_made(self, transport) -> None:
            flood[:] = [self]
            self.transport = transport
            transport.set_write_buffer_limits(high=high)
            self.resume_writing()

        def pause_writing(self) -> None:
            self.paused = True

        def resume_writing(self) -> None:
            self.paused = False
            while not self.paused and self.written < 20_000_000:
                self.transport.write(piece)
                self.written += len(piece)
                self.most = max(self.most, self.transport.get_write_buffer_size())
            if self.written == 20_000_000:
                self.transport.close()

    flood: list[Flood] = []

    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Flood, HOST, 0, ssl=server_context)
        name = "localhost" if client_context else None
        port = server.sockets[0].getsockname()[1]
        reader, writer = await aioxide.open_connection(HOST, port, ssl=client_context, server_hostname=name)
        await asyncio.sleep(0.2)
        # Nobody reads: the sender stands still, with little in memory.
        assert flood[0].paused
        assert flood[0].written < 20_000_000
        received = 0
        while data := await reader.read(1 << 20):
            assert data.strip(b"x") == b""
            received += len(data)
        assert received == 20_000_000
        assert flood[0].most <= high + len(piece)
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    run(main)


@pytest.mark.timeout(120 + SOAK // 500)
def test_many_connections_leave_nothing_behind(contexts):
    server_context, client_context = contexts
    kind, count = ("plain", SOAK) if server_context is None else ("tls", SOAK // 10)
    rounds = 10

    async def main():
        server = await aioxide.start_server(answer, HOST, 0, ssl=server_context, backlog=1024)
        port = server.sockets[0].getsockname()[1]

        async def several(times):
            for _ in range(times):
                assert await ask(port, client_context) == ANSWER

        async def round_of(connections):
            await asyncio.gather(*(several(connections // 10) for _ in range(10)))
            gc.collect()
            await asyncio.sleep(0.01)
            return resident(), descriptors()

        # Until caches and the allocator have what they need.
        memory, files = await round_of(min(count // 3, 20_000))
        print(f"\n{kind}: {memory} KiB, {files} descriptors")
        for number in range(1, rounds + 1):
            now, open_files = await round_of(count // rounds)
            print(f"{kind}: {now} KiB, {open_files} descriptors after {count * number // rounds} connections")
            assert open_files <= files
            assert now - memory < 4096
        server.close()
        await server.wait_closed()

    run(main)


def test_a_buffer_that_is_changed_after_write_is_sent_as_it_was(contexts, tmp_path):
    server_context, client_context = contexts
    size = 3_000_000

    async def main():
        async def send(reader, writer):
            buffer = bytearray(b"a" * size)
            writer.write(buffer)
            buffer[:] = b"b" * size
            view = memoryview(bytearray(b"a" * size))
            writer.write(view)
            view[:] = b"b" * size
            await writer.drain()
            writer.close()

        name = "localhost" if client_context else None
        servers = [await aioxide.start_server(send, HOST, 0, ssl=server_context)]
        port = servers[0].sockets[0].getsockname()[1]
        ends = [await aioxide.open_connection(HOST, port, ssl=client_context, server_hostname=name)]
        if client_context is None:
            path = str(tmp_path / "socket")
            servers.append(await aioxide.start_unix_server(send, path))
            ends.append(await aioxide.open_unix_connection(path))
        for reader, writer in ends:
            data = await reader.read(-1)
            assert len(data) == 2 * size
            assert data.strip(b"a") == b""
            writer.close()
            await writer.wait_closed()
        for server in servers:
            server.close()
            await server.wait_closed()

    run(main)


def test_a_buffer_that_is_changed_after_sending_through_pipes_and_datagrams_is_sent_as_it_was():
    size = 1_000_000

    class Received(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.data = asyncio.get_running_loop().create_future()

        def datagram_received(self, data, addr) -> None:
            self.data.set_result(data)

    async def main():
        loop = asyncio.get_running_loop()
        ours, theirs = os.pipe()
        writer, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(theirs, "wb", 0))
        reader = aioxide.StreamReader()
        read_end, _ = await loop.connect_read_pipe(
            lambda: aioxide.StreamReaderProtocol(reader), os.fdopen(ours, "rb", 0)
        )
        buffer = bytearray(b"a" * size)
        writer.write(buffer)
        buffer[:] = b"b" * size
        writer.close()
        assert (await reader.read(-1)).strip(b"a") == b""
        read_end.close()

        receiver, protocol = await loop.create_datagram_endpoint(Received, (HOST, 0))
        sender, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=receiver.get_extra_info("sockname")
        )
        buffer = bytearray(b"a" * 1000)
        sender.sendto(buffer)
        buffer[:] = b"b" * 1000
        assert (await protocol.data) == b"a" * 1000
        sender.close()
        receiver.close()
        await asyncio.sleep(0.001)

    run(main)
