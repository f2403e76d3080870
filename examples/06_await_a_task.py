"""Awaiting a Task gives its result, as often as you like

A coroutine can be awaited once. A task is a Future: it keeps its result, so several may wait for it, and whoever
comes late gets the result at once. Waiting for a finished task does not even leave the current turn of the loop.
"""

from __future__ import annotations

import asyncio
import time


async def nested() -> int:
    await asyncio.sleep(0.5)
    return 42


async def twice(task: asyncio.Task[int]) -> int:
    return 2 * await task


async def main() -> None:
    task = asyncio.create_task(nested(), name="the answer")
    print("pending:", task.get_name(), "done =", task.done())
    assert isinstance(task, asyncio.Future)

    doubles = await asyncio.gather(twice(task), twice(task))
    print("two that waited for it:", doubles)
    assert doubles == [84, 84]

    started = time.perf_counter()
    again = await task
    print(f"once more: {again}, after {time.perf_counter() - started:.4f} s; done = {task.done()}")
    assert again == task.result() == 42
    assert time.perf_counter() - started < 0.4

    coroutine = nested()
    await coroutine
    try:
        await coroutine
    except RuntimeError as error:
        print("but a coroutine:", error)
        assert str(error) == "cannot reuse already awaited coroutine"
    else:
        raise AssertionError("a coroutine was awaited twice")


if __name__ == "__main__":
    asyncio.run(main())
