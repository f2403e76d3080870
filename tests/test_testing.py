"""Virtual time: ``aioxide.testing``."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import socket
import threading
import time
import weakref
from unittest import mock

import pytest

import aioxide
from aioxide.testing import Deadlock, VirtualClock


def test_an_hour_of_sleep_takes_no_time():
    clock = VirtualClock()
    began = time.monotonic()

    async def main():
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert clock.run(main()) == 3600
    assert clock.now() == 3600
    assert time.monotonic() - began < 5


def test_a_timeout_expires_at_its_deadline():
    clock = VirtualClock(start=100)

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await asyncio.Future()
        return clock.now()

    assert clock.run(main()) == 110


def test_timers_fire_in_the_order_of_their_times_and_equal_ones_in_that_of_their_setting():
    clock = VirtualClock()
    delays = [random.Random(1).randrange(20) for _ in range(200)]

    async def main():
        loop = asyncio.get_running_loop()
        fired = []
        for number, delay in enumerate(delays):
            loop.call_later(delay, lambda *entry: fired.append((loop.time(), *entry)), delay, number)
        await asyncio.sleep(30)
        return fired

    in_order = sorted((delay, number) for number, delay in enumerate(delays))
    assert clock.run(main()) == [(delay, delay, number) for delay, number in in_order]


def test_a_timer_is_never_early():
    clock = VirtualClock()

    async def main():
        for _ in range(500):
            delay = random.Random(2).random() / 3
            due = clock.now() + delay
            await asyncio.sleep(delay)
            assert clock.now() >= due

    clock.run(main())


def test_a_program_runs_in_the_same_order_each_time():
    async def main():
        log = []

        async def worker(number):
            for step in range(5):
                await asyncio.sleep(number * 0.1)
                log.append((number, step, asyncio.get_running_loop().time()))

        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(worker(number))
        return log

    assert VirtualClock().run(main()) == VirtualClock().run(main())


def test_a_deadlock_is_an_error_that_says_what_each_task_waits_for():
    async def wait_for(lock):
        await lock.acquire()

    async def main():
        lock = asyncio.Lock()
        await lock.acquire()
        await asyncio.create_task(wait_for(lock), name="the second")

    with pytest.raises(Deadlock) as caught:
        VirtualClock(patience=0.1).run(main())
    text = str(caught.value)
    assert "the second waits for a Future" in text
    assert "wait_for" in text and "test_testing.py" in text
    assert "waits for the second" in text


def test_tasks_are_cleaned_up_after_a_deadlock():
    cleaned = []

    async def main():
        try:
            await asyncio.Future()
        finally:
            cleaned.append(True)

    with pytest.raises(Deadlock):
        VirtualClock(patience=0.1).run(main())
    assert cleaned == [True]


def test_a_thread_is_waited_for_in_real_time():
    clock = VirtualClock()

    async def main():
        async with asyncio.timeout(0.01):
            await asyncio.to_thread(time.sleep, 0.1)

    clock.run(main())
    assert clock.now() == 0


def test_a_name_is_looked_up_in_real_time(monkeypatch):
    def slow(*_arguments, **_keywords):
        time.sleep(0.05)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    clock = VirtualClock()

    async def main():
        async with asyncio.timeout(0.01):
            await asyncio.get_running_loop().getaddrinfo("name.invalid", 80)

    clock.run(main())
    assert clock.now() == 0


def test_a_thread_that_wakes_the_loop_is_no_deadlock():
    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        threading.Timer(0.05, lambda: loop.call_soon_threadsafe(future.set_result, 5)).start()
        return await future

    assert VirtualClock().run(main()) == 5


def test_a_loop_that_only_watches_a_descriptor_gives_up_after_its_patience():
    async def main():
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            await asyncio.get_running_loop().sock_recv(ours, 1)

    with pytest.raises(Deadlock):
        VirtualClock(patience=0.05).run(main())


def test_grace_lets_descriptors_be_ready_before_time_jumps():
    clock = VirtualClock(grace=10)

    async def main():
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            threading.Timer(0.05, theirs.send, (b"x",)).start()
            async with asyncio.timeout(60):
                return await asyncio.get_running_loop().sock_recv(ours, 1)

    assert clock.run(main()) == b"x"
    assert clock.now() == 0


def test_sockets_within_the_program_work():
    clock = VirtualClock()

    async def serve(reader, writer):
        await asyncio.sleep(1000)
        writer.write(await reader.readline())
        writer.close()
        await writer.wait_closed()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\n")
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
        return answer

    assert clock.run(main()) == b"hello\n"
    assert clock.now() == 1000


def test_the_clock_can_be_advanced_by_hand():
    clock = VirtualClock()

    async def main():
        sleeper = asyncio.create_task(asyncio.sleep(10))
        await asyncio.sleep(0)
        clock.advance(10)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return sleeper.done()

    assert clock.run(main())


@pytest.mark.parametrize("wrong", [{"start": math.nan}, {"grace": -1}, {"patience": -1}])
def test_wrong_arguments_are_value_errors(wrong):
    with pytest.raises(ValueError):
        VirtualClock(**wrong)


def test_time_does_not_go_back():
    with pytest.raises(ValueError, match="cannot go back"):
        VirtualClock().advance(-1)


def test_a_runner_takes_the_clock_as_loop_factory():
    clock = VirtualClock()
    with asyncio.Runner(loop_factory=clock.new_event_loop) as runner:
        runner.run(asyncio.sleep(5))
        runner.run(asyncio.sleep(5))
    assert clock.now() == 10
    with aioxide.Runner(loop_factory=clock.new_event_loop) as runner:
        runner.run(asyncio.sleep(5))
    assert clock.now() == 15


def test_a_loop_that_was_not_closed_is_collected():
    loop = VirtualClock().new_event_loop()
    reference = weakref.ref(loop)
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        del loop
        gc.collect()
    # The recorded warning had it.
    gc.collect()
    assert reference() is None


def test_a_timer_is_due_in_the_turn_after_somebody_moved_the_time():
    async def main():
        loop = asyncio.get_running_loop()
        now = loop.time()
        with mock.patch.object(loop, "time", return_value=now) as time:
            fired = []
            loop.call_later(3600, fired.append, True)
            time.return_value = now + 3600
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert fired

    aioxide.run(main())
