"""wait_for() gives up after its timeout, and cancels

When the time is over, what was waited for is cancelled (it sees a CancelledError and may clean up) and the caller
gets a TimeoutError. ``shield()`` keeps the task alive: then only the waiting ends.
"""

from __future__ import annotations

import asyncio
import time

cleaned_up: list[str] = []


async def work(name: str, seconds: float) -> str:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        cleaned_up.append(name)
        raise  # Cancellation must go on, or the canceller waits in vain.
    return f"{name} is finished"


async def main() -> None:
    print(await asyncio.wait_for(work("quick", 0.1), timeout=5))

    started = time.perf_counter()
    try:
        await asyncio.wait_for(work("endless", 3600), timeout=0.3)
    except TimeoutError:
        took = time.perf_counter() - started
        print(f"TimeoutError after {took:.2f} s; cleaned up: {cleaned_up}")
    else:
        raise AssertionError("an hour has passed in 0.3 s")
    assert 0.2 < took < 1.3
    assert cleaned_up == ["endless"]

    task = asyncio.create_task(work("shielded", 0.5))
    try:
        await asyncio.wait_for(asyncio.shield(task), timeout=0.1)
    except TimeoutError:
        print("TimeoutError again, but the task goes on:", not task.done())
        assert not task.done()
    assert await task == "shielded is finished"
    assert cleaned_up == ["endless"]
    print(task.result())


if __name__ == "__main__":
    asyncio.run(main())
