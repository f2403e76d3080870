"""Errors in a TaskGroup: one fails, the others are cancelled

The group cancels the remaining tasks, waits for their end, and raises an ExceptionGroup with every error. ``except*``
takes out the kinds it can handle. No task outlives the block, whatever happens.
"""

from __future__ import annotations

import asyncio

ends: dict[str, str] = {}


async def work(name: str, seconds: float, error: Exception | None = None) -> None:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        ends[name] = "cancelled"
        # An error while cleaning up is not lost: it joins the group.
        if error is not None:
            raise error from None
        raise
    ends[name] = "finished" if error is None else "failed"
    if error is not None:
        raise error


async def main() -> None:
    missing: list[str] = []
    broken: list[str] = []

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(work("in time", 0.1))
            group.create_task(work("bad value", 0.3, ValueError("not a number")))
            group.create_task(work("endless", 3600))
            group.create_task(work("bad cleanup", 3600, KeyError("the file is gone")))
    except* ValueError as errors:
        broken = [str(error) for error in errors.exceptions]
        print("except* ValueError:", broken)
    except* KeyError as errors:
        missing = [error.args[0] for error in errors.exceptions]
        print("except* KeyError:", missing)

    for name in sorted(ends):
        print(f"  {name}: {ends[name]}")
    assert broken == ["not a number"]
    assert missing == ["the file is gone"]
    assert ends == {
        "in time": "finished",
        "bad value": "failed",
        "endless": "cancelled",
        "bad cleanup": "cancelled",
    }
    assert asyncio.all_tasks() == {asyncio.current_task()}


if __name__ == "__main__":
    asyncio.run(main())
