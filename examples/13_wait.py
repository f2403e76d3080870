"""wait() stops waiting, and leaves the rest to you

Unlike ``wait_for()``, ``asyncio.wait()`` neither raises TimeoutError nor cancels: it returns two sets, done and
pending. What is pending runs on until you cancel it; a cancelled task is finished only once it was awaited.
"""

from __future__ import annotations

import asyncio


async def fetch(name: str, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return name


def names(tasks: set[asyncio.Task[str]]) -> list[str]:
    return sorted(task.get_name() for task in tasks)


async def main() -> None:
    tasks = {
        asyncio.create_task(fetch(name, seconds), name=name)
        for name, seconds in (("quick", 0.1), ("middle", 0.3), ("slow", 3600), ("slower", 7200))
    }

    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    print("first:", names(done))
    assert names(done) == ["quick"]

    done, pending = await asyncio.wait(tasks, timeout=0.7)
    print(f"after the timeout: done {names(done)}, pending {names(pending)}")
    assert names(done) == ["middle", "quick"]
    assert names(pending) == ["slow", "slower"]

    for task in pending:
        assert task.cancel("no more time")
        assert not task.cancelled()  # It was only asked to; it decides at its next step.
    await asyncio.gather(*pending, return_exceptions=True)

    print("cancelled:", names({task for task in tasks if task.cancelled()}))
    assert all(task.cancelled() for task in pending)
    assert asyncio.all_tasks() == {asyncio.current_task()}


if __name__ == "__main__":
    asyncio.run(main())
