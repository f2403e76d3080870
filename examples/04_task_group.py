"""A TaskGroup waits for all of its tasks

Tasks made by ``group.create_task()`` belong to the ``async with`` block: it ends when the last of them has ended,
and none can be forgotten or collected meanwhile. What they returned is read from them afterwards.
"""

from __future__ import annotations

import asyncio
import time


async def fetch(name: str, seconds: float) -> str:
    await asyncio.sleep(seconds)
    print(f"{name} is here")
    return name.upper()


async def main() -> None:
    started = time.perf_counter()

    async with asyncio.TaskGroup() as group:
        first = group.create_task(fetch("first", 1))
        second = group.create_task(fetch("second", 2))
        print("the block is written, its tasks are not finished")
        assert not first.done() and not second.done()

    took = time.perf_counter() - started
    print(f"after the block: {first.result()}, {second.result()}; {took:.2f} s")
    assert (first.result(), second.result()) == ("FIRST", "SECOND")
    assert 1.9 < took < 2.8


if __name__ == "__main__":
    asyncio.run(main())
