"""Two awaits in a row take as long as both together

``await`` waits: the second coroutine is not even called before the first is finished. One second and then two
make three. This is ordinary sequential code; the next example runs both at the same time.
"""

from __future__ import annotations

import asyncio
import time


async def say_after(delay: float, what: str) -> None:
    await asyncio.sleep(delay)
    print(f"{what}, after sleeping for {delay:g} s")


async def main() -> None:
    started = time.perf_counter()

    await say_after(1, "hello")
    await say_after(2, "world")

    took = time.perf_counter() - started
    print(f"both: {took:.2f} s = 1 + 2")
    assert 2.9 < took < 4


if __name__ == "__main__":
    asyncio.run(main())
