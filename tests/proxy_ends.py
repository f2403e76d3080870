"""What the tests of broken networks share: a small exchange, plain and with TLS, and a proxy that spoils it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import ssl
import struct

import pytest

import aioxide
from tls_ends import HOST

QUESTION, ANSWER = b"how are you?\n", b"fine, thank you\n"
#: What a cut connection may end in.
EXPECTED = (OSError, asyncio.IncompleteReadError, ssl.SSLError)


@pytest.fixture(params=["plain", "tls"])
def contexts(request, certificates):
    """The server's and the client's TLS context, or none."""
    if request.param == "plain":
        return None, None
    return certificates.server(), certificates.client()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def run(main):
    """Run on a loop whose complaints are an error, and which leaves nothing open."""
    gc.collect()
    before = descriptors()
    complaints = []

    async def watched():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        await main()
        # The servers' sides end a little later.
        async with asyncio.timeout(5):
            while asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.sleep(0.001)

    aioxide.run(watched())
    gc.collect()
    assert [c for c in complaints if not isinstance(c.get("exception"), EXPECTED)] == []
    assert descriptors() == before


async def answer(reader, writer):
    """The server's side of the exchange."""
    with contextlib.suppress(*EXPECTED):
        if await reader.readexactly(len(QUESTION)) == QUESTION:
            writer.write(ANSWER)
            await writer.drain()
    writer.close()
    with contextlib.suppress(*EXPECTED):
        await writer.wait_closed()


async def ask(port, context, shutdown=None):
    """The client's side; returns what it read to the end."""
    options = {"server_hostname": "localhost", "ssl_shutdown_timeout": shutdown} if context else {}
    reader, writer = await aioxide.open_connection(HOST, port, ssl=context, **options)
    try:
        writer.write(QUESTION)
        await writer.drain()
        return await reader.readexactly(len(ANSWER)) + await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(*EXPECTED):
            await writer.wait_closed()


#: So many bytes change places with as many others.
SWAPPED = 3


class Proxy:
    """Hands bytes on, and does something to them on the way: at most one thing, in one direction, at one place.

    ``cut``: so many bytes pass, then the connection ends, ``how`` it says. ``delay``: what comes after so many bytes
    waits a moment. ``swap``: the ``SWAPPED`` bytes before that place and those after it change places.
    """

    def __init__(
        self, target: int, *, cut=None, delay=None, swap=None, direction="up", how="close", split=False
    ) -> None:
        self.target = target
        self.cut = cut
        self.delay = delay
        self.swap = swap
        self.direction = direction
        self.how = how
        self.split = split
        self.passed = {"up": 0, "down": 0}
        self.running = set()

    async def __aenter__(self):
        self.server = await asyncio.get_running_loop().create_server(lambda: Half(self), HOST, 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info):
        self.server.close()
        self.server.abort_clients()
        for half in list(self.running):
            half.transport.abort()
        await asyncio.sleep(0)
        while self.running:
            await asyncio.sleep(0.001)


class Half(asyncio.Protocol):
    """One side of a proxied connection; the client's side makes the other one."""

    def __init__(self, proxy, other=None) -> None:
        self.proxy, self.other = proxy, other
        self.direction = "up" if other is None else "down"
        self.early = []
        self.kept = b""
        self.timer = None

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.proxy.running.add(self)
        if self.other is None:
            self.connecting = asyncio.ensure_future(self.connect())

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, self.other = await loop.create_connection(lambda: Half(self.proxy, self), HOST, self.proxy.target)
        for data in self.early:
            self.forward(data)

    def data_received(self, data) -> None:
        if self.other is None:
            self.early.append(data)
        else:
            self.forward(data)

    def forward(self, data) -> None:
        proxy, passed = self.proxy, self.proxy.passed[self.direction]
        if proxy.direction != self.direction:
            pass
        elif proxy.cut is not None and len(data) > proxy.cut - passed:
            self.send(data[: max(proxy.cut - passed, 0)])
            return self.end()
        elif proxy.delay is not None:
            data = self.delayed(self.kept + data, proxy.delay - passed)
        elif proxy.swap is not None:
            data = self.swapped(self.kept + data, proxy.swap - passed)
        self.send(data)

    def delayed(self, data, place) -> bytes:
        """Keeps what comes after ``place``, once."""
        if self.timer is None and 0 <= place < len(data):
            self.keep(data[place:])
            return data[:place]
        if self.kept:
            self.kept = data
            return b""
        return data

    def swapped(self, data, place) -> bytes:
        """Swaps what is around ``place``; keeps the beginning of that while the rest is missing."""
        first, last = place - SWAPPED, place + SWAPPED
        if not 0 <= first < len(data):
            return data
        if len(data) < last and self.timer is None:
            self.keep(data[first:])
            return data[:first]
        self.kept = b""
        return data[:first] + data[place:last] + data[first:place] + data[last:]

    def keep(self, data) -> None:
        self.kept = data
        self.timer = asyncio.get_running_loop().call_later(0.002, self.release)

    def release(self) -> None:
        data, self.kept = self.kept, b""
        self.send(data)

    def send(self, data) -> None:
        self.proxy.passed[self.direction] += len(data)
        if self.other.transport.is_closing():
            return
        if self.proxy.split:
            for index in range(len(data)):
                self.other.transport.write(data[index : index + 1])
        elif data:
            self.other.transport.write(data)

    def end(self) -> None:
        for half in (self, self.other):
            if self.proxy.how == "reset":
                sock = half.transport.get_extra_info("socket")
                if sock.fileno() >= 0:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                half.transport.abort()
            elif self.proxy.how == "half" and half is self.other and half.transport.can_write_eof():
                half.transport.write_eof()
            else:
                half.transport.close()

    def connection_lost(self, exc) -> None:
        self.proxy.running.discard(self)
        if self.kept:
            self.release()
        if self.other is not None:
            self.other.transport.close()


async def total_bytes(port, context):
    """How many bytes an exchange has, in each direction."""
    async with Proxy(port) as proxy:
        assert await ask(proxy.port, context) == ANSWER
    return proxy.passed
