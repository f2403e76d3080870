"""gather() runs all and returns results in the order of its arguments

The slowest comes first here and finishes last; in the list it is first all the same. Waiting takes as long as the
slowest of them.
"""

from __future__ import annotations

import asyncio
import time

finished: list[str] = []


async def fetch(name: str, seconds: float) -> str:
    await asyncio.sleep(seconds)
    finished.append(name)
    return f"{name} in {seconds:g} s"


async def main() -> None:
    started = time.perf_counter()
    results = await asyncio.gather(fetch("slow", 0.9), fetch("middle", 0.5), fetch("quick", 0.1))
    took = time.perf_counter() - started

    print("finished:", finished)
    print("returned:", results)
    print(f"all: {took:.2f} s, instead of 1.5 in a row")
    assert finished == ["quick", "middle", "slow"]
    assert results == ["slow in 0.9 s", "middle in 0.5 s", "quick in 0.1 s"]
    assert 0.8 < took < 1.4


if __name__ == "__main__":
    asyncio.run(main())
