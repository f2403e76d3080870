"""Rust futures awaited from Python: the example extension, on our loop and on others."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

import aioxide

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def rusty():
    """The extension of examples/extension, built for this interpreter."""
    target = ROOT / "target" / f"extension-{sys.version_info.major}.{sys.version_info.minor}"
    environment = {**os.environ, "PYO3_PYTHON": sys.executable, "CARGO_TARGET_DIR": str(target)}
    subprocess.run(
        ["cargo", "build", "--release", "--quiet", "--locked"],
        cwd=ROOT / "examples" / "extension",
        env=environment,
        check=True,
        timeout=600,
    )
    path = str(target / "release" / "librusty.so")
    loader = importlib.machinery.ExtensionFileLoader("rusty", path)
    spec = importlib.util.spec_from_file_location("rusty", path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def factories():
    yield pytest.param(aioxide.new_event_loop, id="aioxide")
    yield pytest.param(asyncio.new_event_loop, id="asyncio")
    try:
        import uvloop
    except ImportError:
        return
    yield pytest.param(uvloop.new_event_loop, id="uvloop")


@pytest.fixture(params=factories())
def run(request):
    def run(main):
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(main)

    run.is_ours = request.param is aioxide.new_event_loop
    return run


async def serve_once(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
    await writer.drain()
    writer.close()


def test_a_future_that_is_ready_is_awaited_without_a_suspension(run, rusty):
    async def main():
        assert await rusty.noop() is None
        coroutine = rusty.noop()
        with pytest.raises(StopIteration):
            coroutine.send(None)

    run(main())


def test_a_future_is_a_coroutine_for_asyncio(run, rusty):
    async def main():
        assert asyncio.iscoroutine(coroutine := rusty.nap(0, "a"))
        assert await asyncio.create_task(coroutine) == "a"
        assert await asyncio.wait_for(rusty.nap(0.001, "b"), 5) == "b"
        assert await asyncio.gather(*(rusty.nap(0.001, number) for number in range(50))) == list(range(50))

    run(main())


def test_tokio_runs_on_the_loops_own_thread_if_the_loop_is_ours(run, rusty):
    async def main():
        before = threading.active_count(), len(os.listdir("/proc/self/task"))
        server = await asyncio.start_server(serve_once, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            assert await rusty.get(f"http://127.0.0.1:{port}/") == (200, b"hello")
        after = threading.active_count(), len(os.listdir("/proc/self/task"))
        if run.is_ours:
            assert after == before

    run(main())


def test_python_goes_on_while_rust_waits(run, rusty):
    async def main():
        log = []

        async def tick():
            for number in range(5):
                log.append(number)
                await asyncio.sleep(0.01)

        await asyncio.gather(tick(), rusty.nap(0.1))
        assert log == [0, 1, 2, 3, 4]

    run(main())


def test_rust_goes_on_while_python_is_busy(run, rusty):
    async def main():
        nap = asyncio.create_task(rusty.nap(0.01, "rested"))
        loop = asyncio.get_running_loop()
        until = loop.time() + 5
        while not nap.done():
            assert loop.time() < until
            await asyncio.sleep(0)
        assert nap.result() == "rested"

    run(main())


def test_an_error_is_raised_where_it_is_awaited(run, rusty):
    async def main():
        with pytest.raises(ValueError, match="negative"):
            await rusty.nap(-1.0)
        with pytest.raises(OSError):
            await rusty.get("http://127.0.0.1:1/")
        with pytest.raises(TypeError):
            rusty.nap("soon")

    run(main())


def test_a_panic_is_an_exception_of_the_task_and_the_loop_goes_on(run, rusty, capfd):
    async def main():
        with pytest.raises(RuntimeError, match="panicked: on purpose"):
            await rusty.panic()
        assert await rusty.yield_often(10) == 10

    run(main())


def test_cancelling_the_task_drops_the_future_at_once(run, rusty):
    async def main():
        before = rusty.dropped()
        task = asyncio.create_task(rusty.forever())
        await asyncio.sleep(0.01)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert rusty.dropped() == before + 1
        assert caught.value.args in (("enough",), ())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(rusty.forever(), 0.01)
        assert rusty.dropped() == before + 2

    run(main())


def test_a_thread_wakes_the_loop(run, rusty):
    async def main():
        for _ in range(20):
            assert await rusty.woken_by_thread() == 5

    run(main())


def test_rust_awaits_python(run, rusty):
    async def main():
        async def two():
            await asyncio.sleep(0.001)
            return 2

        assert await rusty.sum_of(two, 10) == 20
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, future.set_result, 7)
        assert await rusty.sum_of(lambda: future, 1) == 7

    run(main())


def test_an_exception_of_python_goes_through_rust(run, rusty):
    async def main():
        async def fail():
            await asyncio.sleep(0)
            raise LookupError("seen")

        with pytest.raises(LookupError, match="seen"):
            await rusty.sum_of(fail, 3)
        with pytest.raises(TypeError):
            await rusty.sum_of(lambda: 5, 1)

    run(main())


def test_cancelling_rust_cancels_the_python_that_it_awaits(run, rusty):
    async def main():
        ended = []

        async def wait():
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        task = asyncio.create_task(rusty.sum_of(wait, 1))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.01)
        assert ended == ["cancelled"]

    run(main())


def test_python_that_is_cancelled_is_an_error_in_rust(run, rusty):
    async def main():
        async def give_up():
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await rusty.sum_of(give_up, 1)

    run(main())


def test_context_variables_are_kept(run, rusty):
    variable = contextvars.ContextVar("variable", default="none")

    async def main():
        async def read():
            await asyncio.sleep(0)
            seen.append(variable.get())
            return 0

        seen = []
        variable.set("ours")
        await rusty.sum_of(read, 2)
        assert seen == ["ours", "ours"]

    run(main())


def test_streams_are_asynchronous_iterators_both_ways(run, rusty):
    async def main():
        assert [tick async for tick in rusty.ticks(5, 0.001)] == [0, 1, 2, 3, 4]

        async def numbers():
            for number in range(5):
                await asyncio.sleep(0)
                yield number

        assert await rusty.collect(numbers()) == [0, 1, 2, 3, 4]
        assert await rusty.collect(rusty.ticks(3, 0.001)) == [0, 1, 2]

        async def failing():
            yield 1
            raise LookupError("seen")

        with pytest.raises(LookupError, match="seen"):
            await rusty.collect(failing())
        with pytest.raises(AttributeError):
            rusty.collect([1, 2])

    run(main())


def test_an_iterator_that_was_closed_has_ended(run, rusty):
    async def main():
        ticks = rusty.ticks(5, 0.001)
        assert await anext(ticks) == 0
        await ticks.aclose()
        assert [tick async for tick in ticks] == []

    run(main())


def test_a_coroutine_is_awaited_once(run, rusty):
    async def main():
        coroutine = rusty.noop()
        await coroutine
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await coroutine
        coroutine = rusty.nap(1)
        coroutine.close()
        with pytest.raises(RuntimeError, match="cannot reuse"):
            await coroutine

    run(main())


def test_a_coroutine_that_is_never_awaited_is_warned_about(rusty):
    with pytest.warns(RuntimeWarning, match="coroutine 'nap' was never awaited"):
        rusty.nap(1)
        gc.collect()


def test_without_a_loop_it_says_so(rusty):
    with pytest.raises(RuntimeError, match="no running event loop"):
        rusty.nap(1).send(None)


def test_one_loop_after_the_other_in_one_thread(run, rusty):
    for _ in range(20):
        assert run(rusty_nap(rusty)) == "rested"


async def rusty_nap(rusty):
    return await rusty.nap(0.001, "rested")


def test_loops_in_several_threads(run, rusty):
    results = []

    def work():
        results.append(run(rusty_nap(rusty)))

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == ["rested"] * 5


def test_a_million_calls_leak_nothing(rusty):
    """A hundred thousand in the usual run; AIOXIDE_CALLS says how many."""
    calls = int(os.environ.get("AIOXIDE_CALLS", "100000"))

    async def main():
        async def measure():
            for _ in range(calls):
                await rusty.noop()
            for _ in range(calls // 100):
                await rusty.yield_often(1)
            gc.collect()
            with open("/proc/self/statm", encoding="ascii") as statm:
                return int(statm.read().split()[1])

        await measure()
        before = await measure()
        assert await measure() - before < 256, "pages"

    aioxide.run(main())


def test_no_descriptor_is_left(rusty):
    def count():
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    aioxide.run(rusty_nap(rusty))
    before = count()
    for _ in range(50):
        aioxide.run(rusty_nap(rusty))
    assert count() <= before + 1


def test_virtual_time_and_rust_timers_do_not_mix_silently(rusty):
    """tokio's timers are real: a virtual clock waits for them as for any descriptor."""
    from aioxide.testing import VirtualClock

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        assert VirtualClock().run(rusty_nap(rusty)) == "rested"
