"""create_task() runs coroutines at the same time

A task is a coroutine that the loop runs by itself, from its next turn on. Both sleep at once, so the same work as
before takes two seconds instead of three: as long as the longer one. Keep a reference to a task: the loop holds
only a weak one.
"""

from __future__ import annotations

import asyncio
import time

order: list[str] = []


async def say_after(delay: float, what: str) -> None:
    order.append(f"{what} starts")
    await asyncio.sleep(delay)
    print(f"{what}, after sleeping for {delay:g} s")


async def main() -> None:
    started = time.perf_counter()

    hello = asyncio.create_task(say_after(1, "hello"))
    world = asyncio.create_task(say_after(2, "world"))
    order.append("both are created")  # No task has run yet: create_task() only schedules.

    await hello
    await world

    took = time.perf_counter() - started
    print("; ".join(order))
    print(f"both: {took:.2f} s, the longer of 1 and 2")
    assert order == ["both are created", "hello starts", "world starts"]
    assert 1.9 < took < 2.8


if __name__ == "__main__":
    asyncio.run(main())
