"""``timeout()``: what CPython's own tests do not ask, above all of its native timer."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref

import pytest

import aioxide
from aioxide import timeout, timeout_at
from aioxide.testing import VirtualClock


def run(main):
    return aioxide.run(main())


def test_a_block_that_ends_in_time_leaves_no_timer():
    async def main():
        loop = asyncio.get_running_loop()
        async with timeout(10) as entered:
            assert len(loop._scheduled) == 1
            await asyncio.sleep(0)
        assert len(loop._scheduled) == 0
        assert not entered.expired()
        assert repr(entered) == "<Timeout [finished]>"

    run(main)


def test_a_block_that_raises_leaves_no_timer_and_raises():
    async def main():
        with pytest.raises(KeyError):
            async with timeout(10):
                raise KeyError
        assert len(asyncio.get_running_loop()._scheduled) == 0

    run(main)


@pytest.mark.parametrize("delay", [0, -1, 0.001, -0.5])
def test_a_deadline_that_passes_is_a_timeout_error(delay):
    async def main():
        with pytest.raises(TimeoutError) as caught:
            async with timeout(delay) as entered:
                await asyncio.sleep(10)
        assert entered.expired()
        assert isinstance(caught.value.__cause__, asyncio.CancelledError)
        assert asyncio.current_task().cancelling() == 0

    run(main)


def test_a_deadline_in_the_past_that_is_put_off_in_time_does_not_expire():
    async def main():
        loop = asyncio.get_running_loop()
        async with timeout_at(loop.time() - 1) as entered:
            entered.reschedule(loop.time() + 10)
            await asyncio.sleep(0.01)
        assert not entered.expired()
        async with timeout(0) as entered:
            entered.reschedule(None)
            await asyncio.sleep(0.01)
        assert entered.when() is None

    run(main)


def test_a_deadline_can_be_brought_forward():
    async def main():
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            async with timeout(None) as entered:
                assert entered.when() is None
                entered.reschedule(loop.time() + 0.001)
                await asyncio.sleep(10)

    run(main)


def test_the_inner_and_the_outer_timeout_are_told_apart():
    async def main():
        async with timeout(10) as outer:
            with pytest.raises(TimeoutError):
                async with timeout(0.001) as inner:
                    await asyncio.sleep(10)
        assert inner.expired() and not outer.expired()
        with pytest.raises(TimeoutError):
            async with timeout(0.001) as outer, timeout(10) as inner:
                await asyncio.sleep(10)
        assert outer.expired() and not inner.expired()

    run(main)


def test_a_cancellation_from_outside_stays_one():
    async def main():
        async def block():
            async with timeout(10):
                await asyncio.sleep(10)

        task = asyncio.create_task(block())
        await asyncio.sleep(0)
        task.cancel("outside")
        with pytest.raises(asyncio.CancelledError, match="outside"):
            await task

    run(main)


def test_it_is_entered_once_in_a_task():
    async def main():
        entered = timeout(10)
        async with entered:
            pass
        with pytest.raises(RuntimeError, match="already been entered"):
            async with entered:
                pass
        with pytest.raises(RuntimeError, match="finished"):
            entered.reschedule(1)
        with pytest.raises(RuntimeError, match="not been entered"):
            timeout(1).reschedule(1)

    run(main)
    with pytest.raises(RuntimeError, match="no running event loop"):
        timeout(1)


def test_it_works_on_other_loops_and_in_other_tasks():
    async def main():
        async with timeout(10):
            await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            async with timeout(0.001):
                await asyncio.sleep(10)

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(main())

    async def theirs():
        await asyncio.tasks._PyTask(main(), loop=asyncio.get_running_loop())

    # From 3.14 on, asyncio's current_task() does not know tasks written in Python.
    if sys.version_info < (3, 14):
        run(theirs)


def test_it_goes_by_a_virtual_clock():
    clock = VirtualClock()

    async def main():
        with pytest.raises(TimeoutError):
            async with timeout(3600):
                await asyncio.Future()
        return clock.now()

    assert clock.run(main()) == 3600


def test_wrong_delays_are_type_errors():
    async def main():
        with pytest.raises(TypeError):
            timeout("soon")
        with pytest.raises(TypeError):
            timeout()
        with pytest.raises(TypeError):
            timeout(1, 2)
        with pytest.raises(TypeError):
            async with timeout_at("soon"):
                pass

    run(main)


def test_nothing_is_kept_when_it_is_over():
    async def main():
        entered = timeout(10)
        reference = weakref.ref(entered)
        async with entered:
            pass
        del entered
        await asyncio.sleep(0)
        gc.collect()
        assert reference() is None

    run(main)


def test_a_coroutine_of_entering_that_is_not_awaited_is_warned_about():
    async def main():
        with pytest.warns(RuntimeWarning, match=r"Timeout.__aenter__' was never awaited"):
            timeout(1).__aenter__()

    run(main)
