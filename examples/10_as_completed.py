"""as_completed() hands out results as they arrive

The quickest comes first, whatever the order of the arguments: show or store each result at once instead of
waiting for the slowest.
"""

from __future__ import annotations

import asyncio
import time


async def fetch(name: str, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return name


async def main() -> None:
    started = time.perf_counter()
    arrived: list[str] = []

    for next_one in asyncio.as_completed([fetch("slow", 0.9), fetch("quick", 0.1), fetch("middle", 0.5)]):
        name = await next_one
        arrived.append(name)
        print(f"{time.perf_counter() - started:.2f} s: {name}")

    took = time.perf_counter() - started
    assert arrived == ["quick", "middle", "slow"]
    assert 0.8 < took < 1.4


if __name__ == "__main__":
    asyncio.run(main())
