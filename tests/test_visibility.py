"""From 3.14 on CPython reads tasks in memory: all_tasks(), call graphs and ``python -m asyncio ps`` show ours."""

from __future__ import annotations

import _asyncio
import asyncio
import gc
import subprocess
import sys
import threading
import weakref

import pytest

import aioxide

pytestmark = pytest.mark.skipif(sys.version_info < (3, 14), reason="call graphs came with 3.14")


def awaited_by(future: asyncio.Future) -> frozenset | None:
    """Return what asyncio believes to wait for ``future``."""
    return future._asyncio_awaited_by


def names(tasks) -> set[str]:
    """Return the names of tasks."""
    return {task.get_name() for task in tasks}


PROGRAM = """
import asyncio, aioxide

async def leaf(gate):
    await gate.wait()

async def middle(gate):
    async with GROUPS.TaskGroup() as group:
        group.create_task(leaf(gate), name="left")
        group.create_task(leaf(gate), name="right")

async def main():
    gate = asyncio.Event()
    middle_task = asyncio.create_task(middle(gate), name="middle")
    napping = asyncio.create_task(aioxide.sleep(60), name="napping")
    unnamed = asyncio.create_task(leaf(gate))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.1, lambda: print("ready", flush=True))
    await middle_task

aioxide.run(main())
"""


@pytest.mark.parametrize("command", ["ps", "pstree"])
@pytest.mark.parametrize("groups", ["asyncio", "aioxide"])
def test_another_process_sees_tasks_and_who_awaits_them(command: str, groups: str) -> None:
    code = PROGRAM.replace("GROUPS", groups)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout.readline() == "ready\n"
            tool = [sys.executable, "-m", "asyncio", command, str(program.pid)]
            shown = subprocess.run(tool, capture_output=True, text=True, timeout=60, check=False)
        finally:
            program.kill()
    if "permission" in (shown.stdout + shown.stderr).lower():
        pytest.skip("another process may not be read here")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    if command == "ps":
        rows = {row.split()[2]: row for row in lines[2:]}
        assert rows.keys() == {"Task-1", "middle", "napping", "Task-2", "left", "right"}
        assert "Event.wait -> leaf" in rows["left"]
        # A native __aexit__() has no frame to be named.
        chain = "TaskGroup.__aexit__ -> middle" if groups == "asyncio" else "Event.wait -> leaf  "
        assert chain in rows["right"]
        assert rows["right"].count("middle") >= 2
        assert rows["middle"].split()[-2] == "Task-1"
        assert rows["left"].split()[-2] == rows["right"].split()[-2] == "middle"
    else:
        tree = [line.strip("│├└─ ") for line in lines]
        assert tree.index("(T) Task-1") < tree.index("(T) middle") < tree.index("(T) left")
        assert "(T) napping" in tree


def test_the_call_graph_leads_from_a_task_to_those_who_await_it() -> None:
    async def inner(future):
        return await future

    async def outer(task):
        return await task

    async def main():
        future = asyncio.get_running_loop().create_future()
        awaited = asyncio.create_task(inner(future), name="inner")
        waiters = [asyncio.create_task(outer(awaited), name=f"outer {number}") for number in range(3)]
        await aioxide.sleep(0)
        await aioxide.sleep(0)
        graph = asyncio.capture_call_graph(awaited)
        assert [entry.frame.f_code.co_name for entry in graph.call_stack] == ["inner"]
        assert names(entry.future for entry in graph.awaited_by) == {"outer 0", "outer 1", "outer 2"}
        assert awaited_by(future) == {awaited}
        future.set_result(None)
        await asyncio.gather(*waiters)
        assert not awaited_by(future)
        assert not awaited_by(awaited)

    aioxide.run(main())


def test_who_waits_no_longer_is_forgotten() -> None:
    async def waits(future):
        with pytest.raises(asyncio.CancelledError):
            await future

    async def main():
        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(waits(future))
        await aioxide.sleep(0)
        assert awaited_by(future) == {task}
        task.cancel()
        await task
        assert not awaited_by(future)

    aioxide.run(main())


def shown(*futures) -> list[set[str] | None]:
    """Return the names of those who await each future."""
    return [waiters if (waiters := awaited_by(future)) is None else names(waiters) for future in futures]


async def gather_in_turns(module, trace) -> None:
    async def child(turns: int, error: type[Exception] | None) -> None:
        for _ in range(turns):
            await aioxide.sleep(0)
        if error is not None:
            raise error

    for error, collected in ((None, False), (KeyError, False), (KeyError, True)):
        future = asyncio.get_running_loop().create_future()
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        children = [asyncio.create_task(child(turns, error if turns == 2 else None)) for turns in range(4)]
        watched = [*children, future, done]
        gathering = module.gather(*watched, children[0], return_exceptions=collected)
        trace.append(shown(*watched))
        gathering.add_done_callback(lambda _, watched=watched: trace.append(shown(*watched)))
        for _ in range(6):
            await aioxide.sleep(0)
            trace.append(shown(*watched))
        if not future.done():
            future.set_result(None)
        await asyncio.wait([gathering])
        trace.append(shown(*watched))
        gathering.exception()


async def gather_twice_and_cancel(module, trace) -> None:
    future = asyncio.get_running_loop().create_future()

    async def wait(number: int) -> None:
        await module.gather(future, asyncio.sleep(0))

    waiters = [asyncio.create_task(wait(number), name=f"waiter {number}") for number in range(3)]
    await aioxide.sleep(0)
    trace.append(shown(future))
    waiters[0].cancel()
    for _ in range(4):
        await aioxide.sleep(0)
        trace.append(shown(future))
    await asyncio.wait(waiters)
    trace.append(shown(future))


async def gather_outside_a_task(module, trace) -> None:
    loop = asyncio.get_running_loop()
    future, begun = loop.create_future(), loop.create_future()
    loop.call_soon(lambda: begun.set_result([module.gather(future)]))
    [gathering] = await begun
    trace.append(shown(future, gathering))
    future.set_result(None)
    await gathering


async def group_in_turns(module, trace) -> None:
    async def child(turns: int, error: type[Exception] | None) -> None:
        for _ in range(turns):
            await aioxide.sleep(0)
        if error is not None:
            raise error

    async def hold(error) -> None:
        async with module.TaskGroup() as group:
            children.extend(
                group.create_task(child(turns, error if turns == 2 else None)) for turns in range(4)
            )
            trace.append(shown(*children))

    for error in (None, KeyError):
        children = []
        holder = asyncio.create_task(hold(error), name="holder")
        for _ in range(8):
            await aioxide.sleep(0)
            trace.append(shown(*children))
        await asyncio.wait([holder])
        holder.exception()
        trace.append(shown(*children))


@pytest.mark.parametrize(
    "program", [gather_in_turns, gather_twice_and_cancel, gather_outside_a_task, group_in_turns]
)
def test_who_gathers_and_groups_is_seen_as_in_asyncio(program) -> None:
    async def main(module) -> list:
        asyncio.current_task().set_name("main")
        trace = []
        await program(module, trace)
        return trace

    expected = aioxide.run(main(asyncio))
    assert aioxide.run(main(aioxide)) == expected
    assert expected


def test_a_gatherer_keeps_its_caller_no_longer_than_its_children_run() -> None:
    async def main():
        async def call():
            return [aioxide.gather(aioxide.sleep(0))]

        task = asyncio.create_task(call())
        [gathering] = await task
        reference = weakref.ref(task)
        await gathering
        del task
        gc.collect()
        assert reference() is None
        assert gathering.done()

    aioxide.run(main())


def test_a_native_task_is_seen_to_await_asyncios_future() -> None:
    async def waits(future):
        await future

    async def main():
        future = _asyncio.Future(loop=asyncio.get_running_loop())
        task = asyncio.create_task(waits(future))
        await aioxide.sleep(0)
        assert awaited_by(future) == {task}
        future.set_result(None)
        await task
        assert not awaited_by(future)

    aioxide.run(main())


def test_a_task_that_dies_pending_leaves_the_list() -> None:
    loop = aioxide.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)

    async def nothing() -> None: ...

    coroutine = nothing()
    task = loop.create_task(coroutine, name="dies")
    assert names(asyncio.all_tasks(loop)) == {"dies"}
    reference = weakref.ref(task)
    loop.close()
    del task
    gc.collect()
    coroutine.close()
    assert reference() is None
    assert asyncio.all_tasks(loop) == set()


def test_a_finished_task_that_was_registered_again_leaves_the_list_when_it_dies() -> None:
    async def main():
        async def nothing() -> None: ...

        task = asyncio.create_task(nothing())
        await task
        asyncio._register_task(task)
        del task
        gc.collect()
        return asyncio.all_tasks() == {asyncio.current_task()}

    assert aioxide.run(main())


def test_tasks_outlive_the_thread_that_made_them() -> None:
    loop = aioxide.new_event_loop()

    async def answer() -> int:
        return 42

    tasks = []
    thread = threading.Thread(target=lambda: tasks.append(loop.create_task(answer(), name="of a thread")))
    thread.start()
    thread.join()
    assert names(asyncio.all_tasks(loop)) == {"of a thread"}
    assert loop.run_until_complete(tasks[0]) == 42
    assert asyncio.all_tasks(loop) == set()
    loop.close()


def test_another_thread_sees_no_current_task_while_the_loop_sleeps() -> None:
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        asleep = threading.Event()

        def look() -> None:
            asleep.wait()
            seen.append(asyncio.current_task(loop))
            loop.call_soon_threadsafe(done.set_result, None)

        done = loop.create_future()
        thread = threading.Thread(target=look)
        thread.start()
        loop.call_soon(asleep.set)
        await done
        thread.join()

    aioxide.run(main())
    assert seen == [None]


def test_a_task_is_entered_only_in_the_running_loop() -> None:
    loop = aioxide.new_event_loop()

    async def nothing() -> None: ...

    task = loop.create_task(nothing())
    with pytest.raises(RuntimeError, match="is not the running loop"):
        asyncio._enter_task(loop, task)
    loop.run_until_complete(task)
    loop.close()


def test_an_eager_task_is_the_current_one_during_its_first_step() -> None:
    async def step(seen):
        seen.append(asyncio.current_task())
        await aioxide.sleep(0)
        seen.append(asyncio.current_task())

    async def main():
        seen: list[asyncio.Task] = []
        task = aioxide.create_task(step(seen), eager_start=True)
        assert seen == [task]
        assert asyncio.current_task() is not task
        assert task in asyncio.all_tasks()
        await task
        assert seen == [task, task]
        assert task not in asyncio.all_tasks()

    aioxide.run(main())


def test_a_new_name_is_seen_everywhere() -> None:
    async def main():
        task = asyncio.current_task()
        task.set_name("renamed")
        assert task.get_name() == "renamed"
        # What the base's struct holds, as another process reads it.
        assert _asyncio.Task.get_name(task) == "renamed"

    aioxide.run(main())
