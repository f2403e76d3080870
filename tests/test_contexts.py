"""Contexts: tasks, timers and callbacks keep the variables of their beginning, and make a Context when asked for one."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref

import pytest

import aioxide

VARIABLE: contextvars.ContextVar[object] = contextvars.ContextVar("VARIABLE", default=None)
needs_get_context = pytest.mark.skipif(sys.version_info < (3, 12), reason="get_context() came with 3.12")


def run(main):
    return aioxide.run(main())


def test_a_task_sees_the_variables_of_where_it_was_made() -> None:
    async def child() -> object:
        await asyncio.sleep(0)
        return VARIABLE.get()

    async def main() -> None:
        VARIABLE.set("before")
        task = asyncio.get_running_loop().create_task(child())
        VARIABLE.set("after")
        assert await task == "before"

    run(main)


def test_what_a_task_sets_stays_with_it_from_step_to_step() -> None:
    async def child(own: object) -> list[object]:
        seen = [VARIABLE.get()]
        VARIABLE.set(own)
        for _ in range(3):
            await asyncio.sleep(0)
            seen.append(VARIABLE.get())
        return seen

    async def main() -> None:
        tasks = [asyncio.get_running_loop().create_task(child(number)) for number in range(3)]
        for number, task in enumerate(tasks):
            assert await task == [None, number, number, number]
        assert VARIABLE.get() is None

    run(main)


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_token_resets_its_variable_in_a_later_step(steps: int) -> None:
    async def child() -> object:
        token = VARIABLE.set("set")
        for _ in range(steps):
            await asyncio.sleep(0)
        assert VARIABLE.get() == "set"
        VARIABLE.reset(token)
        return VARIABLE.get()

    async def main() -> None:
        others = [asyncio.get_running_loop().create_task(child()) for _ in range(5)]
        assert [await task for task in others] == [None] * 5

    run(main)


def test_a_token_of_one_task_is_refused_in_another() -> None:
    tokens: list[contextvars.Token[object]] = []

    async def sets() -> None:
        tokens.append(VARIABLE.set(1))

    async def resets() -> None:
        with pytest.raises(ValueError, match="different Context"):
            VARIABLE.reset(tokens[0])

    async def main() -> None:
        create_task = asyncio.get_running_loop().create_task
        await create_task(sets())
        await create_task(resets())
        await create_task(resets())

    run(main)


@needs_get_context
def test_the_context_of_a_task_is_one_object() -> None:
    async def child() -> list[contextvars.Context]:
        task = asyncio.current_task()
        assert task is not None
        seen = []
        for number in range(3):
            VARIABLE.set(number)
            seen.append(task.get_context())
            await asyncio.sleep(0)
        return seen

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(child())
        before = task.get_context()
        assert VARIABLE not in before
        assert all(context is before for context in await task)
        assert task.get_context() is before
        assert before[VARIABLE] == 2

    run(main)


@needs_get_context
def test_a_context_asked_for_after_the_first_step_has_what_was_set_in_it() -> None:
    async def child() -> None:
        VARIABLE.set("first step")
        await asyncio.sleep(0)
        assert VARIABLE.get() == "from outside"

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(child())
        await asyncio.sleep(0)
        context = task.get_context()
        assert context[VARIABLE] == "first step"
        context.run(VARIABLE.set, "from outside")
        await task

    run(main)


def test_a_given_context_is_used_itself() -> None:
    async def child() -> None:
        VARIABLE.set("child")
        await asyncio.sleep(0)

    async def main() -> None:
        context = contextvars.copy_context()
        await asyncio.get_running_loop().create_task(child(), context=context)
        assert context[VARIABLE] == "child"
        asyncio.get_running_loop().call_soon(VARIABLE.set, "callback", context=context)
        await asyncio.sleep(0)
        assert context[VARIABLE] == "callback"

    run(main)


def test_callbacks_do_not_see_each_others_variables() -> None:
    seen: list[object] = []

    def callback(number: int) -> None:
        seen.append(VARIABLE.get())
        VARIABLE.set(number)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        VARIABLE.set("main")
        for number in range(3):
            loop.call_soon(callback, number)
            loop.call_later(0, callback, number)
        await asyncio.sleep(0.01)
        assert VARIABLE.get() == "main"

    run(main)
    assert seen == ["main"] * 6


def test_a_callback_that_ran_leaves_nothing_to_the_next_context() -> None:
    class Value:
        pass

    async def main() -> None:
        loop = asyncio.get_running_loop()
        value = Value()
        gone = weakref.ref(value)
        loop.call_soon(VARIABLE.set, value)
        del value
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.collect()
        assert gone() is None
        assert contextvars.Context().run(VARIABLE.get) is None

    run(main)


def test_a_context_that_a_callback_keeps_stays_what_it_was() -> None:
    kept: list[contextvars.Token[object]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in range(4):
            loop.call_soon(lambda number=number: kept.append(VARIABLE.set(number)))
        await asyncio.sleep(0)
        for token in kept:
            # Each belongs to another context: none is this one's.
            with pytest.raises(ValueError, match="different Context"):
                VARIABLE.reset(token)

    run(main)


@needs_get_context
def test_a_timers_context_can_be_asked_for_before_and_after_it_ran() -> None:
    async def main() -> None:
        VARIABLE.set("now")
        handle = asyncio.get_running_loop().call_later(0, VARIABLE.set, "then")
        context = handle.get_context()
        assert context[VARIABLE] == "now"
        await asyncio.sleep(0.01)
        assert handle.get_context() is context
        assert context[VARIABLE] == "then"
        assert VARIABLE.get() == "now"

    run(main)


def test_the_context_of_a_cycle_through_a_timer_is_collected() -> None:
    class Node:
        handle: asyncio.TimerHandle

    async def main() -> weakref.ref[Node]:
        node = Node()
        VARIABLE.set(node)
        node.handle = asyncio.get_running_loop().call_later(3600, print)
        VARIABLE.set(None)
        node.handle.cancel()
        return weakref.ref(node)

    gone = run(main)
    gc.collect()
    assert gone() is None


def test_a_loop_dropped_with_timers_is_collected() -> None:
    class Watched:
        def call(self) -> None: ...

    def make() -> weakref.ref[Watched]:
        loop = aioxide.new_event_loop()
        watched = Watched()

        async def main() -> None:
            watched.handle = loop.call_later(3600, watched.call)  # type: ignore[attr-defined]
            watched.loop = loop  # type: ignore[attr-defined]
            loop.call_soon(watched.call)

        loop.run_until_complete(main())
        return weakref.ref(watched)

    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        gone = make()
        gc.collect()
        gc.collect()
    assert gone() is None


def test_a_handle_that_was_kept_after_it_ran_is_collected_with_its_cycle() -> None:
    class Node:
        def call(self) -> None: ...

    async def main() -> list[weakref.ref[Node]]:
        loop = asyncio.get_running_loop()
        gone = []
        for schedule in (lambda call: loop.call_soon(call), lambda call: loop.call_later(0, call)):
            node = Node()
            node.handle = schedule(node.call)  # type: ignore[attr-defined]
            gone.append(weakref.ref(node))
        del node
        await asyncio.sleep(0.01)
        gc.collect()
        return gone

    assert [reference() for reference in run(main)] == [None, None]
