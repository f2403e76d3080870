"""Errors: try/except around await, or return_exceptions

An exception of a task is raised where the task is awaited. ``gather()`` raises the first one and lets the others
run on; with ``return_exceptions=True`` it waits for all and hands errors out like results.
"""

from __future__ import annotations

import asyncio

finished: list[str] = []


async def divide(name: str, dividend: float, divisor: float, seconds: float) -> float:
    await asyncio.sleep(seconds)
    finished.append(name)
    return dividend / divisor


async def main() -> None:
    task = asyncio.create_task(divide("alone", 1, 0, 0.1))
    try:
        await task
    except ZeroDivisionError as error:
        print("awaiting a task:", repr(error))
        assert error is task.exception()
    else:
        raise AssertionError("the error was lost")

    finished.clear()
    other = asyncio.create_task(divide("other", 6, 3, 0.4))
    try:
        await asyncio.gather(divide("broken", 1, 0, 0.1), other)
    except ZeroDivisionError:
        print("gather() raised; the other one goes on:", not other.done())
        assert finished == ["broken"]
    else:
        raise AssertionError("the error was lost")
    assert await other == 2

    results = await asyncio.gather(
        divide("a", 6, 2, 0.2),
        divide("b", 1, 0, 0.1),
        divide("c", 1, 4, 0.1),
        return_exceptions=True,
    )
    print("return_exceptions:", results)
    assert results[0] == 3
    assert isinstance(results[1], ZeroDivisionError)
    assert results[2] == 0.25


if __name__ == "__main__":
    asyncio.run(main())
