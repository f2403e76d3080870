"""``Queue``, ``PriorityQueue``, ``LifoQueue``: as asyncio's, in Rust.

The oracle of the property test is asyncio: random programs of tasks, cancellations and queues leave the same trace on
asyncio's loop with asyncio's queues and on ours. AIOXIDE_QUEUE_PROGRAMS is the number of programs.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import weakref

import pytest

import aioxide

PROGRAMS = int(os.environ.get("AIOXIDE_QUEUE_PROGRAMS", "300"))
KINDS = ("Queue", "PriorityQueue", "LifoQueue")


@pytest.mark.parametrize("kind", KINDS)
def test_isinstance_holds_in_both_directions(kind):
    ours, theirs = getattr(aioxide, kind), getattr(asyncio.queues, kind)
    assert isinstance(ours(), theirs)
    assert isinstance(theirs(), ours)
    assert not isinstance(object(), ours)


def test_a_wait_that_is_not_needed_suspends_nothing():
    queue = aioxide.Queue()
    for coroutine in (queue.put(1), queue.get(), aioxide.Queue().join()):
        with pytest.raises(StopIteration):
            coroutine.send(None)


@pytest.mark.parametrize(
    ("kind", "order"), [("Queue", [2, 1, 3]), ("PriorityQueue", [1, 2, 3]), ("LifoQueue", [3, 1, 2])]
)
def test_items_come_out_in_the_order_of_the_kind(kind, order):
    queue = getattr(aioxide, kind)()
    for item in (2, 1, 3):
        queue.put_nowait(item)
    assert sorted(queue._queue) == [1, 2, 3]
    assert [queue.get_nowait() for _ in range(3)] == order
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()


def test_the_item_can_be_named():
    queue = aioxide.Queue(maxsize=2)
    queue.put_nowait(item=1)
    with pytest.raises(StopIteration):
        queue.put(item=2).send(None)
    assert queue.full()


def test_overridden_hooks_are_called():
    class Unique(aioxide.Queue):
        def _init(self, maxsize):
            self._queue = set()

        def _put(self, item):
            self._queue.add(item)

        def _get(self):
            return self._queue.pop()

    queue = Unique()
    queue.put_nowait("a")
    queue.put_nowait("a")
    assert queue.qsize() == 1
    assert queue.get_nowait() == "a"


def test_what_is_done_to_the_container_is_done_to_the_queue():
    queue = aioxide.Queue()
    queue.put_nowait(1)
    queue._queue.appendleft(0)
    assert [queue.get_nowait(), queue.get_nowait()] == [0, 1]
    assert queue.empty()


def test_shutdown_exists_on_every_version():
    async def main():
        queue = aioxide.Queue()
        getter = asyncio.get_running_loop().create_task(queue.get())
        await asyncio.sleep(0)
        queue.shutdown()
        with pytest.raises(aioxide.QueueShutDown):
            await getter
        with pytest.raises(aioxide.QueueShutDown):
            await queue.put(1)

    aioxide.run(main())


def test_a_queue_is_bound_to_the_loop_that_waited_first():
    queue = aioxide.Queue()

    async def main():
        waiting = asyncio.get_running_loop().create_task(queue.get())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])

    aioxide.run(main())

    async def second():
        with pytest.raises(RuntimeError, match="is bound to a different event loop"):
            await queue.get()

    aioxide.run(second())


def test_a_cycle_through_a_queue_is_collected():
    queue = aioxide.Queue()
    queue.put_nowait(queue)
    reference = weakref.ref(queue)
    del queue
    gc.collect()
    assert reference() is None


def trace(seed, kind, new_loop):
    """What a random program does, step by step."""
    chance = random.Random(seed)
    events = []

    async def worker(name, queues):
        for step in range(chance.randrange(1, 6)):
            queue = chance.choice(queues)
            action = chance.randrange(8)
            try:
                if action < 3:
                    await queue.put((chance.randrange(9), name, step))
                    events.append((name, step, "put"))
                elif action < 6:
                    events.append((name, step, "got", await queue.get()))
                elif action == 6:
                    events.append((name, step, queue.get_nowait()))
                else:
                    queue.put_nowait((step, name, step))
                    events.append((name, step, "now"))
            except (asyncio.QueueEmpty, asyncio.QueueFull) as error:
                events.append((name, step, type(error).__name__))
            except asyncio.CancelledError:
                events.append((name, step, "cancelled"))
                if chance.random() < 0.5:
                    raise
            if chance.random() < 0.3:
                await asyncio.sleep(0)

    async def main():
        queues = [kind(chance.randrange(0, 3)) for _ in range(2)]
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(worker(name, queues)) for name in range(chance.randrange(2, 7))]
        for _ in range(30):
            await asyncio.sleep(0)
            if chance.random() < 0.3:
                chance.choice(tasks).cancel()
            events.append([(queue.qsize(), len(queue._getters)) for queue in queues if chance.random() < 0.1])
        while any(not task.done() for task in tasks):
            for task in tasks:
                task.cancel()
            await asyncio.sleep(0)
        events.append([task.cancelled() for task in tasks])
        events.append([(queue._format(), len(queue._getters), len(queue._putters)) for queue in queues])

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
    return events


@pytest.mark.parametrize("kind", KINDS)
def test_random_programs_leave_asyncios_trace(kind):
    for seed in range(PROGRAMS // len(KINDS)):
        expected = trace(seed, getattr(asyncio.queues, kind), asyncio.SelectorEventLoop)
        assert trace(seed, getattr(aioxide, kind), aioxide.new_event_loop) == expected, seed
        assert trace(seed, getattr(aioxide, kind), asyncio.SelectorEventLoop) == expected, seed


@pytest.mark.parametrize("new_loop", [aioxide.new_event_loop, asyncio.SelectorEventLoop])
def test_join_waits_until_every_item_is_dealt_with(new_loop):
    async def main():
        queue = aioxide.Queue()
        queue.put_nowait(1)
        joining = asyncio.get_running_loop().create_task(queue.join())
        await asyncio.sleep(0)
        await queue.get()
        await asyncio.sleep(0)
        assert not joining.done()
        queue.task_done()
        await joining
        with pytest.raises(ValueError, match="too many times"):
            queue.task_done()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
