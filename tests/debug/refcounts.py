"""Counts references in a debug build of Python: each operation gives back what it took.

Run by ``tools/debug.py`` with an interpreter that counts all references (``sys.gettotalrefcount``) and an
extension built for it, Rust's own debug assertions on.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import warnings
from collections.abc import Callable
from typing import Any

import aioxide

warnings.simplefilter("ignore")
loop = aioxide.new_event_loop()


async def nothing() -> None:
    pass


async def yields() -> None:
    await aioxide.sleep(0)


async def fails() -> None:
    await aioxide.sleep(0)
    raise ZeroDivisionError


async def is_cancelled() -> None:
    task = asyncio.ensure_future(aioxide.sleep(10))
    await aioxide.sleep(0)
    task.cancel(msg="enough")
    try:
        await task
    except asyncio.CancelledError:
        pass


async def times_out() -> None:
    try:
        await asyncio.wait_for(asyncio.sleep(10), 0.001)
    except TimeoutError:
        pass


async def returns_values() -> None:
    async def value() -> list[int]:
        return [1]

    assert await loop.create_task(value()) == [1]
    future = loop.create_future()
    loop.call_soon(future.set_result, (1, 2))
    assert await future == (1, 2)


class Echo(asyncio.Protocol):
    """Made once: the interpreter's caches remember classes."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def talks() -> None:
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"x" * 100)
    await reader.readexactly(100)
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    await aioxide.sleep(0.001)


class Datagrams(asyncio.DatagramProtocol):
    """Echoes and counts; made once, as above."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.heard = loop.create_future()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if not self.heard.done():
            self.heard.set_result(data)
            self.transport.sendto(bytearray(data), addr)

    def error_received(self, exc: Exception) -> None:
        if not self.heard.done():
            self.heard.set_result(exc)


async def datagrams() -> None:
    server, _heard = await loop.create_datagram_endpoint(Datagrams, ("127.0.0.1", 0))
    address = server.get_extra_info("sockname")
    client, answered = await loop.create_datagram_endpoint(Datagrams, remote_addr=address)
    client.sendto(b"x")
    await answered.heard
    server.abort()
    await aioxide.sleep(0.001)
    answered.heard = loop.create_future()
    client.sendto(b"refused")
    client.sendto(b"refused")
    await answered.heard
    client.close()
    await aioxide.sleep(0.001)


async def socket_calls() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.socket()
    for each in (listener, client):
        each.setblocking(False)
    accepting = loop.create_task(loop.sock_accept(listener))
    await loop.sock_connect(client, listener.getsockname())
    connection, _ = await accepting
    sending = loop.create_task(loop.sock_sendall(client, bytearray(3_000_000)))
    left = 3_000_000
    while left:
        left -= len(await loop.sock_recv(connection, 200_000))
    await sending
    for call in (loop.sock_recv(client, 10), loop.sock_recv_into(client, bytearray(10))):
        receiving = loop.create_task(call)
        await aioxide.sleep(0)
        receiving.cancel()
        try:
            await receiving
        except asyncio.CancelledError:
            pass
    receiving = loop.create_task(loop.sock_recvfrom(client, 10))
    await aioxide.sleep(0)
    await loop.sock_sendall(connection, b"x")
    await receiving
    for each in (listener, client, connection):
        each.close()
    try:
        await loop.sock_recv(client, 10)
    except OSError:
        pass


def run(coroutine: Callable[[], Any]) -> Callable[[], object]:
    def operation() -> None:
        try:
            loop.run_until_complete(coroutine())
        except ZeroDivisionError:
            pass

    return operation


def result() -> None:
    future = loop.create_future()
    future.add_done_callback(print)
    future.remove_done_callback(print)
    future.set_result(1)
    future.result()


REUSED = aioxide.Task(nothing(), loop=loop)


def call_soon() -> None:
    loop.call_soon(int)
    loop.call_soon(loop.stop)
    loop.run_forever()


def init_again() -> None:
    aioxide.Task.__init__(REUSED, nothing(), loop=loop)
    loop.run_until_complete(REUSED)


OPERATIONS: dict[str, tuple[Callable[[], object], int]] = {
    "future": (result, 200),
    "call_soon": (call_soon, 200),
    "call_later": (lambda: loop.call_later(10, int).cancel(), 200),
    "task": (run(nothing), 200),
    "sleep": (run(yields), 200),
    "values": (run(returns_values), 200),
    "failure": (run(fails), 200),
    "cancellation": (run(is_cancelled), 200),
    "timeout": (run(times_out), 50),
    "loop": (lambda: aioxide.new_event_loop().close(), 200),
    "tcp": (run(talks), 60),
    "datagrams": (run(datagrams), 60),
    "sockets": (run(socket_calls), 30),
}
if sys.version_info < (3, 15):
    # Later, __init__() is called once.
    OPERATIONS["task.__init__"] = (init_again, 200)


def leaked(operation: Callable[[], object], times: int) -> float:
    """Return how many references one call of the operation keeps."""
    count: Callable[[], int] = sys.gettotalrefcount  # type: ignore[attr-defined]
    for _ in range(20):
        operation()
    gc.collect()
    before = count()
    for _ in range(times):
        operation()
    gc.collect()
    return (count() - before) / times


def main() -> int:
    """Measure every operation; return the exit status."""
    failed = 0
    for name, (operation, times) in OPERATIONS.items():
        # A few references of the measurement itself are spread over the calls, and caches fill in the beginning:
        # a leak is what is there however often it is called.
        for rounds in (times, times, times, 4 * times, 16 * times):
            kept = leaked(operation, rounds)
            wrong = abs(kept) >= 0.5
            if not wrong:
                break
        failed += wrong
        print(f"{'LEAK' if wrong else 'ok  '} {name:<14} {kept:+.3f} references per call")
    print(f"{len(OPERATIONS) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
