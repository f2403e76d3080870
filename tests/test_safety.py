"""What must hold under abuse: collections at any moment, interrupts, wrong arguments, many loops."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref

import pytest

import aioxide


def run(main):
    return aioxide.run(main())


def rss() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def collect_everywhere():
    """Lets the garbage collector run after every few allocations."""
    before = gc.get_threshold()
    gc.set_threshold(1)
    yield
    gc.set_threshold(*before)


async def small_program(seed: int) -> list[object]:
    """A bit of everything, with an outcome that depends on the seed alone."""
    rng = random.Random(seed)
    trace: list[object] = []

    async def child(index: int) -> int:
        for _ in range(rng.randrange(3)):
            await aioxide.sleep(0)
        if index % 5 == 3:
            raise ValueError(index)
        return index

    results = await asyncio.gather(*(child(index) for index in range(10)), return_exceptions=True)
    trace.append([repr(result) for result in results])
    tasks = [asyncio.ensure_future(aioxide.sleep(30)) for _ in range(5)]
    await aioxide.sleep(0)
    for task in tasks:
        task.cancel(msg="enough")
    done = await asyncio.gather(*tasks, return_exceptions=True)
    trace.append([type(result).__name__ for result in done])
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, 1)
    trace.append(await asyncio.wait_for(future, 5))
    try:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()
    except TimeoutError:
        trace.append("timeout")
    return trace


def test_collections_at_any_moment_change_nothing(collect_everywhere):
    outcomes = [run(lambda: small_program(7)) for _ in range(3)]
    gc.set_threshold(700)
    assert outcomes == [run(lambda: small_program(7))] * 3


def test_cycles_of_every_native_kind_are_collected():
    alive = []

    class Canary:
        pass

    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(10):
            canary = Canary()
            alive.append(weakref.ref(canary))
            future = loop.create_future()
            future.add_done_callback(lambda _, future=future, canary=canary: None)
            future.canary = canary
            handle = loop.call_later(1000, lambda: None)
            handle.cancel()

            async def wait(future=future):
                await future

            task = aioxide.Task(wait(), loop=loop)
            task._log_destroy_pending = False
            await aioxide.sleep(0)
            del future, task, handle, canary

    run(main)
    gc.collect()
    assert not [ref for ref in alive if ref() is not None]


def test_native_objects_are_given_back():
    async def churn():
        loop = asyncio.get_running_loop()
        for _ in range(200):
            await asyncio.gather(*(aioxide.sleep(0) for _ in range(20)))
            loop.call_later(1000, print).cancel()

    run(churn)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(5):
        run(churn)
    gc.collect()
    assert len(gc.get_objects()) - before < 200


@pytest.mark.parametrize("count", [int(os.environ.get("AIOXIDE_LOOPS", "10000"))])
def test_many_loops_leave_no_descriptor_and_no_memory(count):
    for _ in range(200):
        aioxide.new_event_loop().close()
    gc.collect()
    files, memory = open_files(), rss()
    for _ in range(count):
        aioxide.new_event_loop().close()
    gc.collect()
    assert open_files() == files
    assert rss() - memory < 4 << 20


def test_a_loop_that_ran_leaves_no_descriptor():
    run(lambda: aioxide.sleep(0))
    files = open_files()
    for _ in range(100):
        run(lambda: aioxide.sleep(0))
    assert open_files() == files


def test_interrupts_at_any_moment_lose_no_callback():
    """The callbacks are C functions: one that was taken out of the queue has run."""
    loop = aioxide.new_event_loop()
    seen: list[int] = []
    total = 100_000
    armed = False
    interrupts = 0

    def interrupt(signum, frame):
        nonlocal interrupts
        if armed:
            interrupts += 1
            raise KeyboardInterrupt

    for number in range(total):
        loop.call_soon(seen.append, number)
        if number % 10 == 0:
            loop.call_soon(sum, range(500))
        if number % 100 == 0:
            loop.call_later(0.0001, seen.append, total + number)
    expected = set(range(total)) | {total + number for number in range(0, total, 100)}
    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
    try:
        deadline = time.monotonic() + 15
        while len(seen) < len(expected) and time.monotonic() < deadline:
            loop.call_later(0.005, loop.stop)
            try:
                armed = True
                loop.run_forever()
                armed = False
            except KeyboardInterrupt:
                armed = False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    loop.close()
    assert interrupts >= 3
    assert set(seen) == expected
    assert len(seen) == len(expected)


def test_a_child_of_fork_makes_a_loop_of_its_own():
    program = textwrap.dedent(
        """
        import asyncio, os, aioxide
        async def main():
            await asyncio.sleep(0.01)
            pid = os.fork()
            if pid == 0:
                try:
                    os._exit(0 if aioxide.new_event_loop().run_until_complete(child()) == 5 else 3)
                except BaseException:
                    os._exit(4)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            await asyncio.sleep(0.01)
        async def child():
            await asyncio.sleep(0.01)
            return 5
        aioxide.run(main())
        """
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=30)


def test_loops_in_several_threads_do_not_meet():
    results = []

    async def main(number):
        await asyncio.gather(*(aioxide.sleep(0.001 * (index % 3)) for index in range(50)))
        return number

    threads = [threading.Thread(target=lambda n=n: results.append(aioxide.run(main(n)))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(8))


def test_threads_may_call_in_at_any_time():
    async def main():
        loop = asyncio.get_running_loop()
        seen = []
        finished = asyncio.Event()
        total = 4 * 2000

        def arrive(item):
            seen.append(item)
            if len(seen) == total:
                finished.set()

        def call(number):
            for index in range(2000):
                loop.call_soon_threadsafe(arrive, (number, index))

        threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        await asyncio.wait_for(finished.wait(), 20)
        for thread in threads:
            thread.join()
        for number in range(4):
            assert [index for who, index in seen if who == number] == list(range(2000))

    run(main)


def test_a_mutable_buffer_changed_after_write_is_sent_as_it_was():
    async def main():
        received = bytearray()
        ended = asyncio.Event()

        class Sink(asyncio.Protocol):
            def data_received(self, data):
                received.extend(data)

            def connection_lost(self, exc):
                ended.set()

        loop = asyncio.get_running_loop()
        server = await loop.create_server(Sink, "127.0.0.1", 0)
        transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        data = bytearray(b"a" * 3_000_000)
        transport.write(data)
        transport.write(memoryview(data)[:10])
        data[:] = b"b" * len(data)
        transport.close()
        await ended.wait()
        server.close()
        assert bytes(received) == b"a" * 3_000_010

    run(main)


@pytest.mark.parametrize(
    "program",
    [
        "t = loop.create_task(f())",
        "t = loop.create_task(f()); loop._run_once()",
        "t = loop.call_later(10, print); u = loop.create_future()",
        "u = loop.create_future(); u.set_exception(ValueError(1))",
        "t = loop.create_task(f()); loop._run_once(); loop.close()",
    ],
)
def test_an_interpreter_that_ends_with_work_pending_ends_quietly(program):
    source = (
        "import asyncio, aioxide\nasync def f(): await aioxide.sleep(10)\nloop = aioxide.EventLoop()\n"
        + program
    )
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", source], capture_output=True, text=True, timeout=30
    )
    assert ended.returncode == 0, ended.stderr
    assert "panicked" not in ended.stderr


def test_a_closed_file_can_still_be_removed():
    """As with selectors, which finds it by identity."""
    import socket

    async def main():
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        loop.add_reader(left, print)
        loop.add_writer(left, print)
        left.close()
        right.close()
        assert loop.remove_reader(left) is True
        assert loop.remove_writer(left) is True
        with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
            loop.remove_reader(left)

    run(main)


def test_a_task_factory_works_after_install():
    source = """
import asyncio, aioxide
aioxide.install()
async def sub(): return 5
async def main():
    loop = asyncio.get_running_loop()
    loop.set_task_factory(lambda loop, coro, **kw: asyncio.Task(coro, loop=loop, **kw))
    assert await asyncio.create_task(sub(), name="x") == 5
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", source], check=True, timeout=30)
