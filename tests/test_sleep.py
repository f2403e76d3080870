"""``sleep()``: who may wait for one, and what others see of it."""

from __future__ import annotations

import asyncio
import gc
import sys
import types
import weakref

import pytest

import aioxide
from aioxide import sleep


def run(main):
    return aioxide.run(main())


def test_a_sleep_returns_its_result():
    async def main():
        assert await sleep(0.001, "result") == "result"
        assert await asyncio.create_task(sleep(0.001, "task")) == "task"
        assert await asyncio.gather(*(sleep(0.001 * number, number) for number in range(10))) == list(
            range(10)
        )

    run(main)


def test_a_sleeping_task_waits_for_a_future_to_those_who_look():
    async def main():
        task = asyncio.create_task(sleep(0.01, 5))
        await sleep(0)
        waiter = task._fut_waiter
        assert isinstance(waiter, asyncio.Future)
        assert task._fut_waiter is waiter
        assert not waiter.done()
        assert "wait_for=<Future pending" in repr(task)
        assert await task == 5
        assert waiter.result() == 5

    run(main)


def test_cancelling_what_a_sleeping_task_waits_for_cancels_the_sleep():
    async def main():
        task = asyncio.create_task(sleep(100))
        await sleep(0)
        task._fut_waiter.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task

    run(main)


@pytest.mark.parametrize("look", [False, True])
def test_a_sleeping_task_is_cancelled_with_its_message_and_the_timer_is_forgotten(look):
    async def main():
        loop = asyncio.get_running_loop()

        async def sleeper():
            try:
                await sleep(100)
            except asyncio.CancelledError as error:
                return error.args

        task = asyncio.create_task(sleeper())
        await sleep(0)
        if look:
            assert task._fut_waiter is not None
        assert len(loop._scheduled) == 1
        assert task.cancel("message")
        assert len(loop._scheduled) == (1 if look else 0)
        assert await task == ("message",)
        assert len(loop._scheduled) == 0

    run(main)


def test_a_task_that_is_cancelled_twice_hears_it_once():
    async def main():
        async def sleeper():
            with pytest.raises(asyncio.CancelledError):
                await sleep(100)
            await sleep(0.001)
            return "went on"

        task = asyncio.create_task(sleeper())
        await sleep(0)
        task.cancel()
        task.cancel()
        assert await task == "went on"

    run(main)


def test_a_cancellation_between_the_timer_and_the_step_is_delivered():
    async def main():
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(sleep(0.001, "result"))
        await sleep(0)
        until = loop.time() + 0.002
        while loop.time() < until:
            pass
        # This timer is later than the sleep's: both fire in one turn, the task is ready, and is cancelled then.
        loop.call_at(until - 0.0005, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)


def test_a_task_of_asyncios_own_may_sleep_inside_of_our_task():
    async def main():
        loop = asyncio.get_running_loop()
        theirs = asyncio.tasks._PyTask(sleep(0.001, "python"), loop=loop)
        assert await theirs == "python"
        if sys.version_info >= (3, 12):
            eager = asyncio.tasks._PyTask(sleep(0.001, "eager"), loop=loop, eager_start=True)
            assert await eager == "eager"
            cancelled = asyncio.tasks._PyTask(sleep(100), loop=loop, eager_start=True)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled

    run(main)


def test_what_stands_between_the_task_and_the_sleep_passes_it_on():
    class Between:
        def __await__(self):
            iterator = sleep(0.001, "through").__await__()
            while True:
                try:
                    yielded = iterator.send(None)
                except StopIteration as stop:
                    return stop.value
                assert yielded._asyncio_future_blocking
                yield yielded

    @types.coroutine
    def generator():
        return (yield from sleep(0.001, "generator").__await__())

    async def main():
        assert await Between() == "through"
        assert await generator() == "generator"

    run(main)


def test_a_sleep_is_a_coroutine_and_no_future():
    async def main():
        asleep = sleep(0.001, 1)
        assert asyncio.iscoroutine(asleep)
        assert not asyncio.isfuture(asleep)
        assert await asyncio.ensure_future(asleep) == 1
        assert await asyncio.wait_for(sleep(0.001, 2), 5) == 2

    run(main)


def test_a_sleep_is_awaited_once():
    async def main():
        asleep = sleep(0.001)
        await asleep
        with pytest.raises(RuntimeError, match="cannot reuse"):
            await asleep

    run(main)


def test_a_loop_that_is_closed_lets_go_of_its_sleepers():
    async def sleeper(token):
        await sleep(1000)

    class Token:
        pass

    token = Token()
    reference = weakref.ref(token)
    loop = aioxide.new_event_loop()
    task = loop.create_task(sleeper(token))
    task._log_destroy_pending = False
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    del token, task, loop
    gc.collect()
    assert reference() is None


def test_a_sleeping_task_that_nobody_holds_lives_on():
    async def main():
        woke = asyncio.Event()

        async def sleeper():
            await sleep(0.01)
            woke.set()

        asyncio.create_task(sleeper())
        await sleep(0)
        gc.collect()
        async with asyncio.timeout(5):
            await woke.wait()

    run(main)


def test_a_sleep_that_is_closed_forgets_its_timer():
    async def main():
        loop = asyncio.get_running_loop()
        asleep = sleep(100)
        asleep.send(None)
        assert len(loop._scheduled) == 1
        asleep.close()
        assert len(loop._scheduled) == 0

    run(main)


def test_a_timer_is_not_late_by_a_clock_that_was_replaced_and_jumps():
    async def main():
        loop = asyncio.get_running_loop()
        now = loop.time()
        loop.time = lambda: now
        fired = []
        loop.call_later(3600, fired.append, True)
        await asyncio.sleep(0)
        assert not fired
        now += 3600
        for _ in range(2):
            await asyncio.sleep(0)
        assert fired
        del loop.time

    aioxide.run(main())
