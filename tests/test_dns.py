"""Name look-ups: numbers at once, names in threads of the loop's own."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time

import pytest

import aioxide
from aioxide import resolver


def run(main):
    return aioxide.run(main())


def resolver_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("aioxide-resolver")]


@pytest.fixture(autouse=True)
def no_threads_of_others():
    for thread in resolver_threads():
        thread.join(10)


@pytest.fixture
def lookup(monkeypatch):
    """A slow ``socket.getaddrinfo``: it answers when it is let."""

    class Lookup:
        def __init__(self) -> None:
            self.allowed = threading.Semaphore(0)
            self.hosts: list[object] = []
            self.at_once = 0
            self.most = 0

        def __call__(self, host, port, *args):
            self.hosts.append(host)
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            self.allowed.acquire()
            self.at_once -= 1
            return [host]

    lookup = Lookup()
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    yield lookup
    lookup.allowed.release(1000)
    for thread in resolver_threads():
        thread.join(10)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("127.0.0.1", 80),
        (b"127.0.0.1", 80),
        ("::1", 80),
        ("::ffff:1.2.3.4", "80"),
        ("fe80::1%lo", 80),
        ("fe80::1%1", None),
        ("10.0.0.1", ""),
        ("10.0.0.1", b"443"),
    ],
)
def test_numeric_addresses_are_answered_in_the_loops_thread(host, port):
    async def main():
        loop = asyncio.get_running_loop()
        try:
            expected = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            pytest.skip("not here")
        # Nothing is waited for: the first step ends it.
        with pytest.raises(StopIteration) as ended:
            loop.getaddrinfo(host, port, type=socket.SOCK_STREAM).send(None)
        assert ended.value.value == expected
        assert resolver_threads() == []

    run(main)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("localhost", 80),
        ("127.1", 80),
        ("127.0.0.1", "http"),
        (None, 80),
        ("", 80),
        ("1.2.3.4\0", 80),
        ("١.2.3.4", 80),
        ("::1\ud800", 80),
        (bytearray(b"\xff"), 80),
        ("fe80::1%nowhere", 80),
    ],
)
def test_what_may_have_to_be_looked_up_is_not_numeric(host, port):
    assert not resolver.is_numeric(socket.getaddrinfo, host, port)


def test_a_name_that_is_to_be_a_number_is_answered_at_once():
    async def main():
        loop = asyncio.get_running_loop()
        flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        for address in [("127.0.0.1", 80), ("::1", 80, 0, 0)]:
            assert await loop.getnameinfo(address, flags) == (address[0], "80")
        assert resolver_threads() == []
        with pytest.raises(TypeError):
            await loop.getnameinfo("127.0.0.1", flags)

    run(main)


def test_names_and_addresses_are_looked_up():
    async def main():
        loop = asyncio.get_running_loop()
        assert await loop.getaddrinfo("localhost", 80) == socket.getaddrinfo("localhost", 80)
        assert await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST) == ("127.0.0.1", "http")
        with pytest.raises(socket.gaierror):
            await loop.getaddrinfo("name.invalid", 80)
        with pytest.raises(UnicodeError):
            await loop.getaddrinfo("a" * 70, 80)

    run(main)


def test_a_function_that_was_put_in_place_sees_every_call(lookup):
    async def main():
        lookup.allowed.release(2)
        loop = asyncio.get_running_loop()
        assert await loop.getaddrinfo("127.0.0.1", 80) == ["127.0.0.1"]
        assert await loop.getaddrinfo("name", 80) == ["name"]
        assert lookup.hosts == ["127.0.0.1", "name"]

    run(main)


def test_slow_lookups_hold_up_neither_the_executor_nor_more_than_their_threads(lookup):
    async def main():
        loop = asyncio.get_running_loop()
        lookups = [asyncio.ensure_future(loop.getaddrinfo(f"name{index}", 80)) for index in range(50)]
        while len(lookup.hosts) < resolver.RESOLVER_THREADS:
            await asyncio.sleep(0.001)
        async with asyncio.timeout(10):
            assert await loop.run_in_executor(None, lambda: 5) == 5
        assert len(resolver_threads()) == resolver.RESOLVER_THREADS
        lookup.allowed.release(50)
        assert await asyncio.gather(*lookups) == [[f"name{index}"] for index in range(50)]
        assert lookup.most == resolver.RESOLVER_THREADS

    run(main)


def test_one_thread_serves_lookups_that_follow_each_other(lookup):
    async def main():
        loop = asyncio.get_running_loop()
        lookup.allowed.release(20)
        for _ in range(20):
            await loop.getaddrinfo("name", 80)
        assert len(resolver_threads()) == 1

    run(main)


def test_a_cancelled_lookup_is_forgotten_and_takes_no_others_thread(lookup):
    async def main():
        loop = asyncio.get_running_loop()
        slow = asyncio.ensure_future(loop.getaddrinfo("slow", 80))
        while not lookup.hosts:
            await asyncio.sleep(0.001)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        following = asyncio.ensure_future(loop.getaddrinfo("following", 80))
        while len(lookup.hosts) < 2:
            await asyncio.sleep(0.001)
        lookup.allowed.release(2)
        assert await following == ["following"]

    run(main)


def test_a_lookup_that_waits_and_is_cancelled_is_never_made(lookup):
    async def main():
        loop = asyncio.get_running_loop()
        count = resolver.RESOLVER_THREADS
        lookups = [asyncio.ensure_future(loop.getaddrinfo("name", 80)) for _ in range(count)]
        waiting = asyncio.ensure_future(loop.getaddrinfo("waiting", 80))
        while len(lookup.hosts) < count:
            await asyncio.sleep(0.001)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        lookup.allowed.release(count + 1)
        await asyncio.gather(*lookups)
        assert await loop.getaddrinfo("last", 80) == ["last"]
        assert "waiting" not in lookup.hosts

    run(main)


def test_a_loop_closes_while_a_lookup_is_going_on_and_its_threads_end(lookup):
    loop = aioxide.new_event_loop()
    task = loop.create_task(loop.getaddrinfo("slow", 80))
    while not lookup.hosts:
        loop.run_until_complete(asyncio.sleep(0.001))
    (thread,) = resolver_threads()
    assert thread.daemon
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    started = time.monotonic()
    loop.close()
    assert time.monotonic() - started < 1
    lookup.allowed.release()
    thread.join(10)
    assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="closed"):
        loop.getnameinfo(("127.0.0.1", 80)).send(None)


def test_debug_mode_logs_what_took_long(caplog):
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 0
        await loop.getaddrinfo("localhost", 80)

    with caplog.at_level(logging.INFO, "asyncio"):
        run(main)
    assert any("Getting address info localhost:80 took" in record.getMessage() for record in caplog.records)


def test_connections_to_scoped_addresses_keep_the_scope():
    async def main():
        loop = asyncio.get_running_loop()
        infos = await loop.getaddrinfo("fe80::1%1", 80, type=socket.SOCK_STREAM)
        assert infos[0][4][3] == 1

    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    run(main)
