"""Tasks and the garbage collector: it is shown a task no later than that one may become garbage.

A task that is made while its loop runs waits in the loop's queue, and is hidden until its first step.
"""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

import aioxide


async def nothing():
    pass


def abandon(leave):
    """Weak references to a loop that is forgotten, and to a task that it never ran; ``leave`` ends its run."""
    loop = aioxide.new_event_loop()
    held = []

    async def never(own_loop, own_tasks):
        pass

    def make():
        task = loop.create_task(never(loop, held))
        task._log_destroy_pending = False
        held.append(task)
        leave(loop)

    loop.call_soon(make)
    try:
        loop.run_forever()
    except KeyboardInterrupt:
        pass
    assert not held[0].done()
    assert gc.is_tracked(held[0])
    return weakref.ref(loop), weakref.ref(held[0])


def interrupt(loop):
    raise KeyboardInterrupt


def stop_and_empty(loop):
    loop._ready.clear()
    loop.stop()


@pytest.mark.parametrize("leave", [aioxide.EventLoop.stop, interrupt, stop_and_empty])
@pytest.mark.filterwarnings("ignore:unclosed event loop", "ignore:coroutine .* was never awaited")
def test_a_task_that_never_runs_is_collected_with_its_loop(leave):
    references = abandon(leave)
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_a_task_is_hidden_only_until_its_first_step():
    async def look():
        return gc.is_tracked(asyncio.current_task())

    async def main():
        tasks = [asyncio.create_task(look()) for _ in range(3)]
        return await asyncio.gather(*tasks)

    assert aioxide.run(main()) == [True, True, True]


def test_collections_while_tasks_are_hidden_find_nothing():
    async def main():
        tasks = []
        for _ in range(200):
            tasks.append(asyncio.create_task(nothing()))
            if len(tasks) % 10 == 0:
                gc.collect(0)
        gc.collect()
        await asyncio.gather(*tasks)

    aioxide.run(main())


def test_a_task_made_before_the_loop_runs_is_never_hidden():
    loop = aioxide.new_event_loop()
    task = loop.create_task(nothing())
    assert gc.is_tracked(task)
    loop.run_until_complete(task)
    loop.close()


def test_a_cycle_of_a_finished_task_is_collected():
    async def main():
        async def own():
            return asyncio.current_task()

        async with aioxide.TaskGroup() as group:
            task = group.create_task(own())
        assert task.result() is task
        return weakref.ref(task)

    reference = aioxide.run(main())
    gc.collect()
    assert reference() is None
