"""``TaskGroup``: what CPython's own tests do not ask: native children, and ``cancel()``."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import weakref

import pytest

import aioxide
from aioxide import TaskGroup

PROGRAMS = int(os.environ.get("AIOXIDE_GROUP_PROGRAMS", "400"))


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


PRIVATE = (
    "_entered",
    "_exiting",
    "_aborting",
    "_parent_cancel_requested",
    "_tasks",
    "_errors",
    "_base_error",
    "_on_completed_fut",
    "_loop",
    "_parent_task",
)


@pytest.mark.parametrize("fails", [False, True])
def test_the_private_attributes_are_those_of_asyncio(fails):
    def look(group):
        return [repr(group), *(type(getattr(group, name)) for name in PRIVATE)]

    async def main(asyncio_or_aioxide):
        seen = []
        group = asyncio_or_aioxide.TaskGroup()
        seen.append(look(group))
        try:
            async with group:
                seen.append(look(group))
                group.create_task(give(1))
                seen.append(look(group))
                if fails:
                    raise KeyError
        except ExceptionGroup:
            pass
        seen.append(look(group))
        return [
            [getattr(part, "__name__", str(part)).replace("EventLoop", "") for part in moment]
            for moment in seen
        ]

    theirs = on_asyncio(main(asyncio))
    ours = aioxide.run(main(aioxide))
    assert [[part.replace("_UnixSelector", "") for part in moment] for moment in theirs] == ours


def on_asyncio(coroutine):
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(coroutine)


def random_program(seed):
    """A program of one group, to be run with asyncio's classes and with ours; it returns what happened."""
    rolls = random.Random(seed)
    children = [(rolls.choice("rrrrfbwc"), rolls.randrange(4)) for _ in range(rolls.randrange(5))]
    body = rolls.choice(["end", "end", "end", "raise", "sleep", "cancelled"]), rolls.randrange(4)
    outside = [rolls.randrange(6) for _ in range(rolls.randrange(3))]
    uncancels = rolls.random() < 0.3
    looks = rolls.random() < 0.3
    nested = rolls.random() < 0.3

    async def child(module, trace, number, kind, turns):
        try:
            for _ in range(turns):
                await module.sleep(0)
            if kind == "f":
                raise KeyError(number)
            if kind == "b":
                raise SystemExit(number)
            if kind == "c":
                raise module.CancelledError(number)
            if kind == "w":
                await module.sleep(60)
        except BaseException as error:
            trace.append((number, repr(error)))
            if kind == "w" and turns == 1:
                await module.sleep(0)
            raise
        finally:
            trace.append((number, "ends"))

    async def hold(module, trace, children):
        kind, turns = body
        async with module.TaskGroup() as group:
            for number, (how, wait) in enumerate(children):
                group.create_task(child(module, trace, number, how, wait))
                if looks:
                    trace.append(len(group._tasks))
            if nested:
                async with module.TaskGroup() as inner:
                    inner.create_task(child(module, trace, "inner", "r", 2))
            if kind == "raise":
                raise ValueError
            if kind == "sleep":
                for _ in range(turns):
                    await module.sleep(0)
            if kind == "cancelled":
                raise module.CancelledError("by itself")

    async def main(module, trace):
        holder = module.create_task(hold(module, trace, children))
        for turn in range(12):
            for _ in range(outside.count(turn)):
                trace.append(holder.cancel(turn))
                if uncancels:
                    trace.append(holder.uncancel())
            await module.sleep(0)
            trace.append((turn, holder.done(), holder.cancelling()))
        holder.cancel()
        try:
            await holder
        except BaseExceptionGroup as errors:
            trace.append([repr(error) for error in errors.exceptions])
        except BaseException as error:
            trace.append(repr(error))

    return main


def in_turns(trace):
    """The trace with what happens in one turn in a fixed order: children are cancelled in the order of a set."""
    turns = [[]]
    for event in trace:
        turns[-1].append(repr(event))
        if isinstance(event, tuple) and len(event) == 3:
            turns.append([])
    return [sorted(turn) for turn in turns]


@pytest.mark.parametrize("start", range(0, PROGRAMS, 100))
def test_random_programs_end_as_on_asyncio(start):
    for seed in range(start, start + 100):
        traces = []
        for module, factory in ((asyncio, asyncio.SelectorEventLoop), (aioxide, aioxide.new_event_loop)):
            trace = []
            loop = factory()
            loop.set_exception_handler(
                lambda loop, context, trace=trace: trace.append(context["message"][:10])
            )
            main = random_program(seed)(module, trace)
            task = None
            try:
                task = loop.create_task(main)
                for _ in range(5):
                    try:
                        loop.run_until_complete(task)
                        break
                    except SystemExit as exit:
                        trace.append(repr(exit))
            except BaseException as error:
                trace.append(repr(error))
            finally:
                pending = asyncio.all_tasks(loop)
                trace.append(len(pending))
                for other in pending:
                    other._log_destroy_pending = False
                    other.get_coro().close()
                loop.close()
            traces.append(in_turns(trace))
        assert traces[0] == traces[1], seed


def test_a_group_given_up_while_it_waits_lets_its_children_go_on():
    async def main():
        group = TaskGroup()
        await group.__aenter__()
        child = group.create_task(give(1, 3))
        leaving = group.__aexit__(None, None, None)
        assert leaving.send(None) is group._on_completed_fut
        leaving.close()
        await child

    run(main)


def test_a_subclass_may_hear_of_the_children_itself():
    class Noted(TaskGroup):
        def _on_task_done(self, task):
            heard.append(task.result())
            super()._on_task_done(task)

    async def main():
        async with Noted() as group:
            group.create_task(give(1))
            group.create_task(give(2))
        async with TaskGroup() as group:
            original = group._on_task_done
            group._on_task_done = lambda task: (heard.append("instance"), original(task))
            group.create_task(give(3))

    heard = []
    run(main)
    assert heard == [1, 2, "instance"]


def test_a_child_shows_who_hears_of_its_end():
    async def main():
        async with TaskGroup() as group:
            child = group.create_task(give(1, 2))
            assert "cb=[TaskGroup._on_task_done()]" in repr(child)
            assert child.remove_done_callback(group._on_task_done) == 1
            child.add_done_callback(group._on_task_done)

    run(main)


def test_places_of_children_are_used_again():
    async def main():
        async with TaskGroup() as group:
            for _ in range(300):
                for _ in range(3):
                    group.create_task(give(1))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            slow = group.create_task(give(1, 3))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert group._tasks == {slow}

    run(main)
