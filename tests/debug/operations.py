"""What is counted: operations that shall keep nothing, with every kind of native object."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aioxide

__all__ = ("OPERATIONS",)

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


async def lives_in_groups() -> None:
    async with aioxide.TaskGroup() as group:
        group.create_task(yields())
        group.create_task(nothing())
    try:
        async with aioxide.TaskGroup() as group:
            group.create_task(fails())
            group.create_task(aioxide.sleep(10))
            await aioxide.sleep(10)
    except* ZeroDivisionError:
        pass
    async with aioxide.TaskGroup() as group:
        group.create_task(aioxide.sleep(10))
        loop.call_soon(group.cancel)
        await aioxide.sleep(10)


async def gathers() -> None:
    await aioxide.gather(yields(), nothing(), loop.create_task(yields()))
    await aioxide.gather(fails(), nothing(), return_exceptions=True)
    children = [loop.create_task(aioxide.sleep(10)) for _ in range(3)]
    gathering = aioxide.gather(*children)
    await aioxide.sleep(0)
    gathering.cancel()
    await outcome(gathering)


async def outcome(awaitable: Awaitable[object]) -> None:
    try:
        await awaitable
    except (Exception, asyncio.CancelledError):
        pass


async def waits() -> None:
    slow = loop.create_task(aioxide.sleep(10))
    quick = loop.create_task(yields())
    await aioxide.wait([slow, quick], return_when=asyncio.FIRST_COMPLETED)
    await aioxide.wait([slow], timeout=0.0001)
    waiting = loop.create_task(aioxide.wait([slow]))
    await aioxide.sleep(0)
    waiting.cancel()
    await outcome(waiting)
    slow.cancel()
    await outcome(slow)


async def completes() -> None:
    for each in aioxide.as_completed([yields(), nothing(), fails()]):
        await outcome(each)
    tasks = [loop.create_task(yields()), loop.create_task(aioxide.sleep(10))]
    try:
        async for each in aioxide.as_completed(tasks, timeout=0.0001):
            await each
    except TimeoutError:
        pass
    tasks[1].cancel()
    await outcome(tasks[1])


async def shields() -> None:
    await aioxide.shield(yields())
    await outcome(aioxide.shield(fails()))
    inner = loop.create_task(yields())
    outer = aioxide.shield(inner)
    outer.cancel()
    await outcome(outer)
    await inner


async def times() -> None:
    async with aioxide.timeout(10) as timeout:
        await aioxide.sleep(0)
        timeout.reschedule(loop.time() + 5)
    try:
        async with aioxide.timeout(None) as timeout:
            timeout.reschedule(loop.time())
            await aioxide.sleep(10)
    except TimeoutError:
        pass
    await aioxide.wait_for(yields(), 10)
    await outcome(aioxide.wait_for(fails(), 10))


async def holds() -> None:
    for kind in (aioxide.Lock, aioxide.Semaphore, aioxide.BoundedSemaphore, aioxide.Condition):
        lock = kind()
        async with lock:
            given_up, waiting = (loop.create_task(lock.acquire()) for _ in range(2))
            await aioxide.sleep(0)
            given_up.cancel()
            await outcome(given_up)
        await waiting
        lock.release()


async def notifies() -> None:
    event, condition, barrier = aioxide.Event(), aioxide.Condition(), aioxide.Barrier(2)

    async def notified() -> None:
        async with condition:
            await condition.wait_for(event.is_set)

    waiting = [loop.create_task(event.wait()), loop.create_task(notified()), loop.create_task(notified())]
    await aioxide.sleep(0)
    await aioxide.sleep(0)
    waiting.pop().cancel()
    event.set()
    async with condition:
        condition.notify_all()
    await aioxide.gather(*waiting)
    await aioxide.gather(barrier.wait(), barrier.wait())
    broken = loop.create_task(barrier.wait())
    await aioxide.sleep(0)
    await barrier.abort()
    await outcome(broken)


async def queues() -> None:
    for kind in (aioxide.Queue, aioxide.PriorityQueue, aioxide.LifoQueue):
        queue = kind(1)
        getting = loop.create_task(queue.get())
        await aioxide.sleep(0)
        await queue.put(1)
        assert await getting == 1
        queue.task_done()
        await queue.join()
        queue.put_nowait(2)
        putting, given_up = loop.create_task(queue.put(3)), loop.create_task(queue.put(4))
        await aioxide.sleep(0)
        given_up.cancel()
        await outcome(given_up)
        assert queue.get_nowait() == 2
        await putting
        queue.shutdown(immediate=True)
        await outcome(queue.get())


async def starts_eagerly() -> None:
    await aioxide.Task(nothing(), loop=loop, eager_start=True)
    await aioxide.Task(yields(), loop=loop, eager_start=True)
    await outcome(aioxide.Task(fails(), loop=loop, eager_start=True))


async def uses_threads() -> None:
    assert await aioxide.to_thread(len, "x") == 1
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(yields(), loop))
    called = loop.create_future()
    loop.call_soon_threadsafe(called.set_result, 1)
    await called


async def streams() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = await aioxide.open_unix_connection(sock=ours)
    _, other = await aioxide.open_unix_connection(sock=theirs)
    other.writelines([b"a line\n", b"until;", b"exactly", bytearray(100_000)])
    assert await reader.readline() == b"a line\n"
    assert await reader.readuntil(b";") == b"until;"
    assert await reader.readexactly(7) == b"exactly"
    reading = loop.create_task(reader.readexactly(1_000_000))
    await aioxide.sleep(0)
    reading.cancel()
    await outcome(reading)
    other.write_eof()
    while await reader.read(10_000):
        pass
    await outcome(reader.readexactly(1))
    for each in (writer, other):
        each.close()
        await each.wait_closed()


class Pipe(asyncio.Protocol):
    """Remembers what it heard; made once, as above."""

    def connection_made(self, transport: Any) -> None:
        self.ended = loop.create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(None)


async def pipes() -> None:
    reading, writing = os.pipe()
    reader, receiver = await loop.connect_read_pipe(Pipe, open(reading, "rb", 0))
    writer, _ = await loop.connect_write_pipe(Pipe, open(writing, "wb", 0))
    writer.write(b"x" * 100_000)
    writer.close()
    await receiver.ended
    reader.close()
    await aioxide.sleep(0)


async def children() -> None:
    process = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert await process.communicate(b"x") == (b"x", None)


async def sends_a_file() -> None:
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.setblocking(False)
    with open(__file__, "rb") as file:
        assert await loop.sock_sendfile(ours, file, 0, 100) == 100
    assert len(await loop.sock_recv(theirs, 1000)) == 100
    for each in (ours, theirs):
        each.close()


async def watches() -> None:
    ours, theirs = socket.socketpair()
    readable, writable = loop.create_future(), loop.create_future()
    loop.add_reader(ours, readable.set_result, 1)
    loop.add_writer(ours, writable.set_result, 1)
    await writable
    loop.remove_writer(ours)
    theirs.send(b"x")
    await readable
    loop.remove_reader(ours)
    for each in (ours, theirs):
        each.close()


async def looks_up() -> None:
    await loop.getaddrinfo("127.0.0.1", 80)
    await loop.getaddrinfo("localhost", 80)
    await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)


def certificate() -> tuple[ssl.SSLContext, ssl.SSLContext] | None:
    """Make the contexts of a server and a client, where there is a program that makes certificates."""
    if shutil.which("openssl") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        key, signed = Path(folder) / "key.pem", Path(folder) / "certificate.pem"
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ]
        command += ["-subj", "/CN=localhost", "-keyout", str(key), "-out", str(signed)]
        subprocess.run(command, check=True, capture_output=True)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(signed, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    return server, client


CONTEXTS = certificate()


async def tls(way: str) -> None:
    assert CONTEXTS is not None
    os.environ["AIOXIDE_TLS"] = way
    server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=CONTEXTS[0])
    address = server.sockets[0].getsockname()
    reader, writer = await aioxide.open_connection(*address, ssl=CONTEXTS[1])
    writer.write(b"x" * 100_000)
    await reader.readexactly(100_000)
    writer.close()
    await writer.wait_closed()
    # One that goes away in the middle.
    _, writer = await aioxide.open_connection(*address, ssl=CONTEXTS[1])
    writer.write(b"x" * 1_000_000)
    writer.transport.abort()
    await outcome(writer.wait_closed())
    server.close()
    await server.wait_closed()
    await aioxide.sleep(0.001)


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
    "groups": (run(lives_in_groups), 100),
    "gather": (run(gathers), 100),
    "wait": (run(waits), 50),
    "as_completed": (run(completes), 50),
    "shield": (run(shields), 100),
    "timeouts": (run(times), 100),
    "locks": (run(holds), 100),
    "notifying": (run(notifies), 100),
    "queues": (run(queues), 100),
    "threads": (run(uses_threads), 50),
    "streams": (run(streams), 50),
    "pipes": (run(pipes), 30),
    "children": (run(children), 10),
    "sendfile": (run(sends_a_file), 50),
    "watching": (run(watches), 50),
    "names": (run(looks_up), 50),
    "eager": (run(starts_eagerly), 100),
}
if CONTEXTS is not None:
    OPERATIONS["tls"] = (run(lambda: tls("direct")), 20)
    OPERATIONS["tls, memory"] = (run(lambda: tls("memorybio")), 20)
if sys.version_info < (3, 15):
    # Later, __init__() is called once.
    OPERATIONS["task.__init__"] = (init_again, 200)
