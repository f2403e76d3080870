"""``ensure_future()`` and ``all_tasks()``: what asyncio's give."""

from __future__ import annotations

import asyncio
import threading

import pytest

import aioxide


async def value(number):
    await aioxide.sleep(0)
    return number


class Awaitable:
    def __await__(self):
        return value(5).__await__()


def test_a_future_is_given_back_as_it_is():
    async def main():
        loop = asyncio.get_running_loop()
        for future in (loop.create_future(), asyncio.Future(loop=loop), loop.create_task(value(1))):
            assert aioxide.ensure_future(future) is future
            assert aioxide.ensure_future(future, loop=loop) is future
            future.cancel()
        other = aioxide.new_event_loop()
        with pytest.raises(ValueError, match="belongs to a different loop"):
            aioxide.ensure_future(future, loop=other)
        other.close()

    aioxide.run(main())


def test_whatever_can_be_awaited_becomes_a_native_task():
    async def main():
        loop = asyncio.get_running_loop()
        for awaitable in (value(5), aioxide.sleep(0, 5), Awaitable()):
            task = aioxide.ensure_future(awaitable)
            assert type(task) is aioxide.Task
            assert await task == 5
        assert await aioxide.ensure_future(value(6), loop=loop) == 6
        with pytest.raises(TypeError, match="a coroutine or an awaitable is required"):
            aioxide.ensure_future(5)

    aioxide.run(main())


def test_a_task_factory_is_asked():
    async def main():
        made = []

        def factory(loop, coro, **options):
            made.append(coro)
            return asyncio.Task(coro, loop=loop, **options)

        asyncio.get_running_loop().set_task_factory(factory)
        coroutine = value(5)
        assert await aioxide.ensure_future(coroutine) == 5
        assert made == [coroutine]

    aioxide.run(main())


def test_without_a_loop_a_coroutine_is_refused():
    def outside():
        coroutine = value(5)
        with pytest.raises(RuntimeError, match="no current event loop"):
            aioxide.ensure_future(coroutine)
        coroutine.close()
        seen.append(True)

    seen = []
    thread = threading.Thread(target=outside)
    thread.start()
    thread.join()
    assert seen


def test_all_tasks_are_those_that_asyncio_names():
    async def main():
        loop = asyncio.get_running_loop()
        gate = asyncio.Event()
        tasks = [loop.create_task(gate.wait()) for _ in range(3)]
        tasks.append(asyncio.Task(gate.wait(), loop=loop))
        finished = loop.create_task(value(1))
        await finished
        expected = {*tasks, asyncio.current_task()}
        assert aioxide.all_tasks() == asyncio.all_tasks() == expected
        assert await aioxide.to_thread(aioxide.all_tasks, loop) == expected
        other = aioxide.new_event_loop()
        assert aioxide.all_tasks(other) == set()
        other.close()
        gate.set()
        await asyncio.gather(*tasks)
        assert aioxide.all_tasks() == {asyncio.current_task()}

    aioxide.run(main())
    with pytest.raises(RuntimeError, match="no running event loop"):
        aioxide.all_tasks()


def test_all_tasks_can_be_asked_while_another_loop_makes_tasks():
    ready, ended = threading.Event(), threading.Event()

    async def busy():
        while not ended.is_set():
            tasks = [aioxide.create_task(value(number)) for number in range(20)]
            tasks += [asyncio.Task(value(number), loop=asyncio.get_running_loop()) for number in range(20)]
            ready.set()
            await asyncio.gather(*tasks)

    thread = threading.Thread(target=lambda: aioxide.run(busy()))
    thread.start()
    ready.wait(10)

    async def main():
        for _ in range(500):
            assert aioxide.all_tasks() == {asyncio.current_task()}
            await aioxide.sleep(0)

    try:
        aioxide.run(main())
    finally:
        ended.set()
        thread.join()


def test_tasks_of_asyncios_own_and_native_ones_take_turns() -> None:
    """Each is the current task in its steps, and none is between them, whoever ran before."""
    original = asyncio.tasks._CTask  # type: ignore[attr-defined]
    seen: list[bool] = []

    async def spin(tasks: list[asyncio.Task[None]], number: int) -> None:
        for _ in range(200):
            seen.append(asyncio.current_task() is tasks[number])
            await asyncio.sleep(0)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        tasks: list[asyncio.Task[None]] = []
        for number in range(6):
            coroutine = spin(tasks, number)
            tasks.append(original(coroutine, loop=loop) if number == 3 else loop.create_task(coroutine))
        loop.call_soon(lambda: seen.append(asyncio.current_task() is None))
        for task in tasks:
            await task

    aioxide.run(main())
    assert seen == [True] * 1201
