"""``Lock``, ``Event``, ``Semaphore``, ``BoundedSemaphore``: as asyncio's, in Rust.

The oracle of the property test is asyncio: random programs of tasks, cancellations and locks leave the same trace on
asyncio's loop with asyncio's locks and on ours. AIOXIDE_LOCK_PROGRAMS is the number of programs.
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
KINDS = ("Lock", "Semaphore", "BoundedSemaphore", "Event")


@pytest.mark.parametrize("kind", KINDS)
def test_isinstance_holds_in_both_directions(kind):
    ours, theirs = getattr(aioxide, kind), getattr(asyncio.locks, kind)
    assert isinstance(ours(), theirs)
    assert isinstance(theirs(), ours)
    assert not isinstance(object(), ours)


def finished(coroutine):
    """The result of a coroutine that suspends nothing."""
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    return stop.value.value


@pytest.mark.parametrize("kind", ["Lock", "Semaphore", "BoundedSemaphore"])
def test_a_wait_that_is_not_needed_suspends_nothing(kind):
    lock = getattr(aioxide, kind)()
    assert finished(lock.acquire()) is True
    assert lock.locked()
    lock.release()
    assert finished(lock.__aenter__()) is None
    assert lock.locked()
    leaving = lock.__aexit__(None, None, None)
    assert lock.locked()
    finished(leaving)
    assert not lock.locked()


def test_an_event_that_is_set_suspends_nobody():
    event = aioxide.Event()
    event.set()
    assert finished(event.wait()) is True


def test_replaced_methods_are_called_by_the_block():
    calls = []

    class Noted(aioxide.Lock):
        async def acquire(self):
            calls.append("acquire")
            return await super().acquire()

        def release(self):
            calls.append("release")
            super().release()

    async def main():
        async with Noted():
            calls.append("inside")

    aioxide.run(main())
    assert calls == ["acquire", "inside", "release"]


def test_releasing_too_often_is_an_error():
    with pytest.raises(RuntimeError, match="Lock is not acquired"):
        aioxide.Lock().release()
    with pytest.raises(ValueError, match="released too many times"):
        aioxide.BoundedSemaphore(2).release()
    aioxide.Semaphore(2).release()
    with pytest.raises(ValueError, match="must be >= 0"):
        aioxide.Semaphore(-1)


def test_a_semaphore_may_have_places_without_end():
    semaphore = aioxide.Semaphore(math.inf)
    assert finished(semaphore.acquire()) is True
    assert semaphore._value == math.inf


def test_a_lock_is_bound_to_the_loop_that_waited_first():
    lock = aioxide.Lock()
    finished(lock.acquire())

    async def wait():
        waiting = asyncio.get_running_loop().create_task(lock.acquire())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])

    async def wait_again():
        with pytest.raises(RuntimeError, match="is bound to a different event loop"):
            await lock.acquire()

    aioxide.run(wait())
    aioxide.run(wait_again())


@pytest.mark.parametrize("kind", KINDS)
def test_a_cycle_through_a_lock_is_collected(kind):
    lock = getattr(aioxide, kind)()
    lock.itself = lock
    reference = weakref.ref(lock)
    del lock
    gc.collect()
    assert reference() is None


def trace(seed, module, new_loop):
    """What a random program does, step by step."""
    chance = random.Random(seed)
    events = []

    async def worker(name, locks, event):
        for step in range(chance.randrange(1, 6)):
            lock = chance.choice(locks)
            action = chance.randrange(6)
            try:
                if action < 3:
                    async with lock:
                        events.append((name, step, "in"))
                        for _ in range(chance.randrange(3)):
                            await asyncio.sleep(0)
                elif action == 3:
                    events.append((name, step, await lock.acquire()))
                    lock.release()
                elif action == 4:
                    events.append((name, step, "event", await event.wait()))
                else:
                    (event.clear if event.is_set() else event.set)()
            except asyncio.CancelledError:
                events.append((name, step, "cancelled"))
                if chance.random() < 0.5:
                    raise
            events.append((name, step, [each.locked() for each in locks]))

    async def main():
        locks = [module.Lock(), module.Semaphore(chance.randrange(1, 4)), module.BoundedSemaphore(2)]
        event = module.Event()
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(worker(name, locks, event)) for name in range(chance.randrange(3, 9))]
        for _ in range(30):
            await asyncio.sleep(0)
            if chance.random() < 0.3:
                chance.choice(tasks).cancel()
            if chance.random() < 0.1:
                events.append([len(each._waiters or ()) for each in (*locks, event)])
        while any(not task.done() for task in tasks):
            for task in tasks:
                task.cancel()
            await asyncio.sleep(0)
        events.append([task.cancelled() for task in tasks])
        events.append([repr(each).partition("[")[2] for each in (*locks, event)])

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
    return events


def test_random_programs_leave_asyncios_trace():
    for seed in range(PROGRAMS):
        expected = trace(seed, asyncio.locks, asyncio.SelectorEventLoop)
        assert trace(seed, aioxide, aioxide.new_event_loop) == expected, seed
        assert trace(seed, aioxide, asyncio.SelectorEventLoop) == expected, seed
