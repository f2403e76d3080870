"""``Condition``, ``Barrier``: as asyncio's, in Rust.

The oracle of the property tests is asyncio: random programs leave the same trace on asyncio's loop with asyncio's
classes and on ours. AIOXIDE_LOCK_PROGRAMS is the number of programs.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import random
import weakref

import pytest

import aioxide

PROGRAMS = int(os.environ.get("AIOXIDE_LOCK_PROGRAMS", "400"))
LOCKS = (aioxide.Lock, asyncio.locks.Lock, aioxide.Semaphore)


def test_isinstance_holds_in_both_directions():
    assert isinstance(aioxide.Condition(), asyncio.locks.Condition)
    assert isinstance(asyncio.locks.Condition(), aioxide.Condition)
    assert not isinstance(aioxide.Lock(), aioxide.Condition)


@pytest.mark.parametrize("kind", LOCKS)
def test_any_lock_will_do(kind):
    async def main():
        lock = kind()
        condition = aioxide.Condition(lock)
        assert condition._lock is lock
        assert condition.acquire == lock.acquire
        woken = []

        async def wait(number):
            async with condition:
                assert await condition.wait() is True
                woken.append(number)

        waiters = [asyncio.create_task(wait(number)) for number in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="cannot notify on un-acquired lock"):
            condition.notify()
        async with condition:
            assert lock.locked()
            condition.notify(2)
            assert woken == []
        await asyncio.sleep(0)
        async with condition:
            assert sorted(woken) == [0, 1]
            condition.notify_all()
        await asyncio.gather(*waiters)
        assert sorted(woken) == [0, 1, 2, 3]
        assert not lock.locked()

    aioxide.run(main())


def test_waiting_needs_the_lock():
    async def main():
        with pytest.raises(RuntimeError, match="cannot wait on un-acquired lock"):
            await aioxide.Condition().wait()
        with pytest.raises(RuntimeError, match="cannot notify on un-acquired lock"):
            aioxide.Condition().notify_all()
        with pytest.raises(AttributeError):
            aioxide.Condition(object())

    aioxide.run(main())


@pytest.mark.parametrize(("limit", "woken"), [(-1, 0), (0, 0), (1.5, 2), (math.inf, 3), (True, 1), (2, 2)])
def test_a_limit_is_compared_as_in_asyncio(limit, woken):
    async def main(module):
        condition = module.Condition()
        count = []

        async def wait():
            async with condition:
                await condition.wait()
                count.append(1)

        tasks = [asyncio.create_task(wait()) for _ in range(3)]
        await asyncio.sleep(0)
        async with condition:
            condition.notify(limit)
        for _ in range(5):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return len(count)

    assert asyncio.run(main(asyncio)) == woken
    assert aioxide.run(main(aioxide)) == woken


def test_wait_for_returns_what_the_predicate_says():
    async def main():
        condition = aioxide.Condition()
        values = []

        async def wait():
            async with condition:
                return await condition.wait_for(lambda: values and values[-1] > 1 and values)

        task = asyncio.create_task(wait())
        for number in range(3):
            await asyncio.sleep(0)
            async with condition:
                values.append(number)
                condition.notify()
        assert await task is values
        async with condition:
            with pytest.raises(ZeroDivisionError):
                await condition.wait_for(lambda: 1 / 0)

    aioxide.run(main())


def test_replaced_methods_are_called():
    calls = []

    class Noted(aioxide.Condition):
        def notify(self, n=1):
            calls.append(("notify", n))
            super().notify(n)

        def _notify(self, n):
            calls.append(("_notify", n))
            super()._notify(n)

        async def wait(self):
            calls.append("wait")
            return await super().wait()

    async def main():
        condition = Noted()
        release = condition.release
        condition.release = lambda: (calls.append("release"), release())[1]

        async def wait():
            async with condition:
                await condition.wait_for(lambda: len(calls) > 3)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        async with condition:
            condition.notify_all()
        await task

    aioxide.run(main())
    assert calls == ["wait", "release", ("notify", 1), ("_notify", 1), "release", "release"]


def test_a_lock_that_is_replaced_while_somebody_acquires_it_is_let_go():
    async def main():
        condition = aioxide.Condition()
        lock = condition._lock

        async def wait():
            async with condition:
                await condition.wait()

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        async with condition:
            condition.notify()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            condition.acquire = lock.acquire
        await task
        assert not lock._waiters
        assert not lock.locked()

    aioxide.run(main())


def test_a_condition_is_bound_to_the_loop_that_waited_first():
    condition = aioxide.Condition()

    async def wait():
        async with condition:
            waiting = asyncio.create_task(condition.wait())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])

    async def wait_again():
        async with condition:
            with pytest.raises(RuntimeError, match="is bound to a different event loop"):
                await condition.wait()

    aioxide.run(wait())
    aioxide.run(wait_again())


def test_the_last_cancellation_is_raised_and_leads_to_the_first():
    async def main(module):
        condition = module.Condition()

        async def wait():
            async with condition:
                await condition.wait()

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        async with condition:
            task.cancel("first")
            await asyncio.sleep(0)
            task.cancel("second")
            await asyncio.sleep(0)
            task.cancel("third")
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        error, chain = caught.value, []
        while error is not None:
            chain.append(error.args)
            error = error.__context__
        return chain

    ours = aioxide.run(main(aioxide))
    assert ours[0] == asyncio.run(main(asyncio))[0]
    assert ours[-1] == ("first",)


def test_a_wait_that_is_given_up_needs_the_lock_still():
    async def main():
        condition = aioxide.Condition()
        await condition.acquire()
        waiting = condition.wait()
        waiting.send(None)
        assert not condition.locked()
        waiting.close()
        assert condition.locked()
        waiting = condition.wait()
        waiting.send(None)
        await condition.acquire()
        with pytest.raises(RuntimeError, match="coroutine ignored GeneratorExit"):
            waiting.close()
        condition.release()

    aioxide.run(main())


@pytest.mark.parametrize("make", [aioxide.Condition, lambda: aioxide.Barrier(2)])
def test_a_cycle_is_collected(make):
    made = make()
    made.itself = made
    reference = weakref.ref(made)
    del made
    gc.collect()
    assert reference() is None


def trace(seed, module, new_loop, new_lock):
    """What a random program does, step by step."""
    chance = random.Random(seed)
    events = []

    async def worker(name, condition, level):
        for step in range(chance.randrange(1, 5)):
            action = chance.randrange(5)
            try:
                async with condition:
                    events.append((name, step, "in"))
                    if action == 0:
                        events.append((name, step, await condition.wait()))
                    elif action == 1:
                        limit = chance.randrange(3)
                        events.append(
                            (name, step, await condition.wait_for(lambda limit=limit: level[0] > limit))
                        )
                    elif action == 2:
                        level[0] += 1
                        condition.notify(chance.randrange(3))
                    elif action == 3:
                        level[0] -= 1
                        condition.notify_all()
                    else:
                        await asyncio.sleep(0)
                    if chance.random() < 0.1:
                        raise KeyError
            except asyncio.CancelledError as error:
                events.append((name, step, "cancelled", error.args))
                if chance.random() < 0.5:
                    raise
            except KeyError:
                pass
            events.append((name, step, condition.locked(), len(condition._waiters)))

    async def main():
        condition = module.Condition(new_lock())
        loop = asyncio.get_running_loop()
        level = [0]
        tasks = [loop.create_task(worker(name, condition, level)) for name in range(chance.randrange(3, 9))]
        for turn in range(30):
            await asyncio.sleep(0)
            if chance.random() < 0.3:
                chance.choice(tasks).cancel(turn)
            if chance.random() < 0.1:
                events.append(repr(condition).partition("[")[2])
        while any(not task.done() for task in tasks):
            for task in tasks:
                task.cancel()
            await asyncio.sleep(0)
        events.append([task.cancelled() for task in tasks])
        events.append(repr(condition).partition("[")[2])

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
    return events


def test_random_programs_leave_asyncios_trace():
    for seed in range(PROGRAMS):
        expected = trace(seed, asyncio.locks, asyncio.SelectorEventLoop, asyncio.locks.Lock)
        for new_loop in aioxide.new_event_loop, asyncio.SelectorEventLoop:
            assert trace(seed, aioxide, new_loop, aioxide.Lock) == expected, seed
        assert trace(seed, aioxide, aioxide.new_event_loop, asyncio.locks.Lock) == expected, seed


def test_a_barrier_is_asyncios_in_both_directions():
    assert isinstance(aioxide.Barrier(1), asyncio.locks.Barrier)
    assert isinstance(asyncio.locks.Barrier(1), aioxide.Barrier)
    assert isinstance(aioxide.Barrier(1)._cond, aioxide.Condition)


@pytest.mark.parametrize("arguments", [(), (0,), (-1,), ("x",), (1, 2)])
def test_a_barrier_refuses_what_asyncios_refuses(arguments):
    with pytest.raises((TypeError, ValueError)) as expected:
        asyncio.Barrier(*arguments)
    with pytest.raises(expected.type) as caught:
        aioxide.Barrier(*arguments)
    if arguments != (1, 2):
        assert str(caught.value) == str(expected.value)


def test_a_barrier_of_one_holds_nobody_up():
    async def main():
        barrier = aioxide.Barrier(1)
        waiting = barrier.wait()
        with pytest.raises(StopIteration) as stop:
            waiting.send(None)
        assert stop.value.value == 0
        async with barrier as index:
            assert index == 0
        assert (barrier.parties, barrier.n_waiting, barrier.broken) == (1, 0, False)

    aioxide.run(main())


def test_the_steps_of_a_barrier_may_be_replaced():
    calls = []

    class Noted(aioxide.Barrier):
        async def _block(self):
            calls.append("block")
            await super()._block()

        def _exit(self):
            calls.append("exit")
            super()._exit()

    async def main():
        barrier = Noted(2)
        return await asyncio.gather(barrier.wait(), barrier.wait())

    assert sorted(aioxide.run(main())) == [0, 1]
    assert calls == ["block", "block", "exit", "exit"]


def test_a_barrier_takes_any_condition():
    async def main(condition):
        barrier = aioxide.Barrier(2)
        barrier._cond = condition
        return await asyncio.gather(barrier.wait(), barrier.wait())

    for new in (
        asyncio.Condition,
        lambda: aioxide.Condition(asyncio.Lock()),
        type("Own", (aioxide.Condition,), {}),
    ):
        assert sorted(aioxide.run(main(new()))) == [0, 1]


def barrier_trace(seed, module, new_loop):
    """What a random program of one barrier does, step by step."""
    chance = random.Random(seed)
    events = []

    async def worker(name, barrier):
        for step in range(chance.randrange(1, 6)):
            action = chance.randrange(12)
            try:
                if action == 0:
                    await barrier.reset()
                elif action == 1 and chance.random() < 0.3:
                    await barrier.abort()
                elif action < 4:
                    async with barrier as index:
                        events.append((name, step, "in", index))
                        await asyncio.sleep(0)
                else:
                    events.append((name, step, await barrier.wait()))
            except asyncio.BrokenBarrierError as error:
                events.append((name, step, str(error)))
            except asyncio.CancelledError as error:
                events.append((name, step, "cancelled", error.args))
                if chance.random() < 0.5:
                    raise
            events.append((name, step, barrier.n_waiting, barrier._count, barrier._state.name))

    async def main():
        barrier = module.Barrier(chance.randrange(1, 5))
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(worker(name, barrier)) for name in range(chance.randrange(3, 9))]
        for turn in range(30):
            await asyncio.sleep(0)
            if chance.random() < 0.2:
                chance.choice(tasks).cancel(turn)
            if chance.random() < 0.1:
                events.append(repr(barrier).partition("[")[2])
        while any(not task.done() for task in tasks):
            for task in tasks:
                task.cancel()
            await asyncio.sleep(0)
        events.append([task.cancelled() for task in tasks])
        events.append(repr(barrier).partition("[")[2])

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
    return events


def test_random_barriers_leave_asyncios_trace():
    for seed in range(PROGRAMS):
        expected = barrier_trace(seed, asyncio.locks, asyncio.SelectorEventLoop)
        assert barrier_trace(seed, aioxide, aioxide.new_event_loop) == expected, seed
        assert barrier_trace(seed, aioxide, asyncio.SelectorEventLoop) == expected, seed
