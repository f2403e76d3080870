"""Tasks that begin at once: ``eager_start`` and the eager task factory, on every version of Python."""

from __future__ import annotations

import asyncio
import contextvars
import sys

import pytest

import aioxide

LOOPS = {"aioxide": aioxide.new_event_loop, "asyncio": asyncio.SelectorEventLoop}


@pytest.fixture(params=LOOPS)
def run(request):
    def run(main):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(main())

    return run


async def steps(trace, pause=True):
    trace.append(("begins", asyncio.current_task().get_name()))
    if pause:
        await aioxide.sleep(0)
    trace.append(("ends", asyncio.current_task().get_name()))
    return len(trace)


CREATES = [pytest.param(aioxide.create_task, id="create_task"), pytest.param(aioxide.Task, id="Task")]


@pytest.mark.parametrize("create", CREATES)
def test_an_eager_task_runs_its_first_step_now_and_is_the_current_one_meanwhile(run, create):
    async def main():
        trace = []
        mine = asyncio.current_task()
        task = create(steps(trace), name="eager", eager_start=True)
        assert trace == [("begins", "eager")]
        assert asyncio.current_task() is mine
        assert task in asyncio.all_tasks()
        assert not task.done()
        assert await task == 2
        assert asyncio.current_task() is mine

    run(main)


def test_one_that_suspends_nothing_is_done_at_once(run):
    async def main():
        trace = []
        task = aioxide.create_task(steps(trace, pause=False), name="quick", eager_start=True)
        assert task.done()
        assert task.result() == 2
        assert task not in asyncio.all_tasks()

        async def fails():
            raise KeyError("seen")

        failing = aioxide.create_task(fails(), eager_start=True)
        assert failing.done()
        with pytest.raises(KeyError):
            await failing

    run(main)


def test_one_that_is_not_eager_waits_for_its_turn(run):
    async def main():
        for options in ({}, {"eager_start": False}):
            trace = []
            task = aioxide.create_task(steps(trace), **options)
            assert trace == []
            await task

    run(main)


def test_it_runs_in_its_own_context(run):
    variable = contextvars.ContextVar("variable", default="nothing")

    async def sets(value):
        before = variable.get()
        variable.set(value)
        await aioxide.sleep(0)
        return before, variable.get()

    async def main():
        variable.set("main's")
        task = aioxide.create_task(sets("the task's"), eager_start=True)
        assert variable.get() == "main's"
        assert await task == ("main's", "the task's")
        context = contextvars.Context()
        assert await aioxide.create_task(sets("given"), eager_start=True, context=context) == (
            "nothing",
            "given",
        )
        assert context[variable] == "given"

    run(main)


def test_eager_tasks_may_start_eager_tasks(run):
    async def main():
        trace = []

        async def nested(depth):
            trace.append((depth, asyncio.current_task().get_name()))
            if depth < 3:
                await aioxide.create_task(nested(depth + 1), name=f"depth {depth + 1}", eager_start=True)
            trace.append((depth, asyncio.current_task().get_name()))

        await aioxide.create_task(nested(1), name="depth 1", eager_start=True)
        down = [(depth, f"depth {depth}") for depth in (1, 2, 3)]
        assert trace == down + down[::-1]

    run(main)


def test_a_group_starts_children_eagerly(run):
    async def main():
        trace = []
        async with aioxide.TaskGroup() as group:
            slow = group.create_task(steps(trace), name="slow", eager_start=True)
            quick = group.create_task(steps(trace, pause=False), name="quick", eager_start=True)
            assert trace == [("begins", "slow"), ("begins", "quick"), ("ends", "quick")]
            assert quick.done()
            late = group.create_task(steps(trace), name="late", eager_start=False)
            assert ("begins", "late") not in trace
        assert slow.done() and late.done()

        async def fails():
            raise KeyError("seen")

        with pytest.raises(ExceptionGroup) as caught:
            async with aioxide.TaskGroup() as group:
                group.create_task(fails(), eager_start=True)
                # It is heard of later.
                assert not asyncio.current_task().cancelling()
                await aioxide.sleep(10)
        assert repr(caught.value.exceptions) == "(KeyError('seen'),)"

    run(main)


def test_a_group_that_takes_no_more_children_refuses_eager_ones(run):
    async def main():
        group = aioxide.TaskGroup()
        coroutine = steps([])
        with pytest.raises(RuntimeError, match="has not been entered"):
            group.create_task(coroutine, eager_start=True)
        coroutine.close()

    run(main)


def test_the_eager_task_factory_exists_on_every_version():
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(aioxide.eager_task_factory)
        trace = []
        task = asyncio.create_task(steps(trace), name="eager")
        assert type(task) is aioxide.Task
        assert len(trace) == 1
        await task
        made = []

        class Mine(aioxide.Task):
            def __init__(self, *args, **options):
                made.append(options["eager_start"])
                super().__init__(*args, **options)

        loop.set_task_factory(aioxide.create_eager_task_factory(Mine))
        assert type(asyncio.create_task(steps(trace))) is Mine
        assert made == [True]

    aioxide.run(main())


def test_the_loops_method_takes_it_too():
    async def main():
        trace = []
        task = asyncio.get_running_loop().create_task(steps(trace), eager_start=True)
        assert len(trace) == 1
        await task

    aioxide.run(main())


def test_on_a_loop_that_does_not_run_it_waits():
    loop = aioxide.new_event_loop()
    trace = []
    task = aioxide.Task(steps(trace), loop=loop, eager_start=True)
    assert trace == []
    loop.run_until_complete(task)
    loop.close()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio's eager tasks came with 3.12")
def test_the_trace_is_that_of_asyncios_eager_tasks():
    async def main(api):
        trace = []

        async def child(number):
            trace.append((number, asyncio.current_task() is not mine, len(asyncio.all_tasks())))
            if number % 2:
                await asyncio.sleep(0)
            if number % 3 == 0:
                raise KeyError(number)
            return number

        mine = asyncio.current_task()
        loop = asyncio.get_running_loop()
        tasks = [api.Task(child(number), loop=loop, eager_start=True) for number in range(6)]
        trace.append([task.done() for task in tasks])
        trace.append([repr(each) for each in await asyncio.gather(*tasks, return_exceptions=True)])
        return trace

    assert aioxide.run(main(aioxide)) == asyncio.run(main(asyncio))
