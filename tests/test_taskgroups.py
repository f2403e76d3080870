"""``TaskGroup``: what CPython's own tests do not ask: native children, and ``cancel()``."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

import aioxide
from aioxide import TaskGroup


def run(main):
    return aioxide.run(main())


async def give(value, turns=0):
    for _ in range(turns):
        await asyncio.sleep(0)
    return value


def test_children_run_together_and_are_waited_for():
    async def main():
        async with TaskGroup() as group:
            children = [group.create_task(give(number, number % 7)) for number in range(100)]
            assert len(group._tasks) == 100
        assert [child.result() for child in children] == list(range(100))
        assert not group._tasks
        assert isinstance(group, asyncio.taskgroups.TaskGroup)

    run(main)


def test_a_child_may_have_a_name_and_a_context():
    async def main():
        async with TaskGroup() as group:
            child = group.create_task(give(1), name="the child")
            assert child.get_name() == "the child"
            with pytest.raises(TypeError):
                group.create_task(give_nothing := give(1), nickname="x")
            give_nothing.close()

    run(main)


def test_a_failure_cancels_the_others_and_comes_in_a_group():
    async def main():
        async def fail():
            await asyncio.sleep(0)
            raise KeyError("seen")

        async def wait():
            try:
                await asyncio.sleep(100)
            finally:
                ended.append(1)

        ended = []
        with pytest.raises(ExceptionGroup) as caught:
            async with TaskGroup() as group:
                group.create_task(wait())
                group.create_task(fail())
                group.create_task(wait())
        assert [type(error) for error in caught.value.exceptions] == [KeyError]
        assert ended == [1, 1]

    run(main)


def test_a_group_that_is_over_takes_no_children():
    async def main():
        async with TaskGroup() as group:
            pass
        coroutine = give(1)
        with pytest.raises(RuntimeError, match="is finished"):
            group.create_task(coroutine)
        coroutine.close()
        coroutine = give(1)
        with pytest.raises(RuntimeError, match="has not been entered"):
            TaskGroup().create_task(coroutine)
        coroutine.close()

    run(main)


def test_a_child_may_make_children():
    async def main():
        seen = []

        async def child(group, depth):
            seen.append(depth)
            if depth:
                group.create_task(child(group, depth - 1))
                await asyncio.sleep(0)
                group.create_task(child(group, depth - 1))

        async with TaskGroup() as group:
            group.create_task(child(group, 5))
        assert len(seen) == 2**6 - 1

    run(main)


def test_a_subclass_may_make_the_tasks_itself():
    class Named(TaskGroup):
        def create_task(self, coro, **keywords):
            return super().create_task(coro, name="named", **keywords)

    async def main():
        async with Named() as group:
            assert group.create_task(give(1)).get_name() == "named"

    run(main)


def test_a_task_factory_is_asked():
    async def main():
        made = []

        def factory(loop, coro, **keywords):
            made.append(coro)
            return asyncio.Task(coro, loop=loop, **keywords)

        asyncio.get_running_loop().set_task_factory(factory)
        async with TaskGroup() as group:
            group.create_task(give(1))
        assert len(made) == 1

    run(main)


def test_it_works_on_another_loop():
    async def main():
        async with TaskGroup() as group:
            children = [group.create_task(give(number, 2)) for number in range(3)]
        return [child.result() for child in children]

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        assert runner.run(main()) == [0, 1, 2]


def test_nothing_is_kept_and_nothing_needs_the_collector():
    async def main():
        gc.disable()
        try:
            group = TaskGroup()
            reference = weakref.ref(group)
            async with group:
                group.create_task(give(1))
            del group
            await asyncio.sleep(0)
            assert reference() is None
        finally:
            gc.enable()

    run(main)


def test_cancel_ends_the_group_without_an_error():
    async def main():
        cancelled = []

        async def wait():
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                cancelled.append(1)
                raise

        async with TaskGroup() as group:
            group.create_task(wait())
            group.create_task(wait())
            await asyncio.sleep(0)
            group.cancel()
            group.cancel()
            await asyncio.sleep(100)
            raise AssertionError("not reached")
        assert cancelled == [1, 1]
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0)

    run(main)


def test_cancel_works_from_a_child_and_before_the_group_is_entered():
    async def main():
        async with TaskGroup() as group:

            async def child():
                group.cancel()
                await asyncio.sleep(100)

            group.create_task(child())
            await asyncio.sleep(100)
        group = TaskGroup()
        group.cancel()
        async with group:
            await asyncio.sleep(100)
        async with TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        group.cancel()

    run(main)


def test_cancel_does_not_hide_errors_or_a_cancellation_from_outside():
    async def main():
        with pytest.raises(ExceptionGroup):
            async with TaskGroup() as group:
                group.cancel()
                raise KeyError

        async def block():
            async with TaskGroup() as group:
                asyncio.current_task().cancel("outside")
                group.cancel()
                await asyncio.sleep(100)

        task = asyncio.create_task(block())
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)
