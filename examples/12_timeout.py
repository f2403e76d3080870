"""timeout() and timeout_at() put a whole block under a deadline

Everything awaited inside counts. ``timeout(0.3)`` is relative, ``timeout_at(when)`` names a moment of the loop's
clock, so that several blocks share one deadline. A deadline can be moved while the block runs.
"""

from __future__ import annotations

import asyncio


async def main() -> None:
    loop = asyncio.get_running_loop()

    began = loop.time()
    steps = 0
    try:
        async with asyncio.timeout(0.35):
            while True:
                await asyncio.sleep(0.1)
                steps += 1
    except TimeoutError:
        print(f"timeout(0.35): over after {steps} steps and {loop.time() - began:.2f} s")
    assert 1 <= steps <= 3
    assert 0.3 < loop.time() - began < 1.3

    deadline = loop.time() + 0.3
    reached: list[str] = []
    for name in ("first", "second", "third"):
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.sleep(0.2)
                reached.append(name)
        except TimeoutError:
            print(f"timeout_at: {name} is too late")
    print(f"timeout_at: in time: {reached}")
    assert reached == ["first"]

    async with asyncio.timeout(0.1) as patience:
        patience.reschedule(loop.time() + 5)
        await asyncio.sleep(0.2)
    print("reschedule: expired =", patience.expired())
    assert not patience.expired()


if __name__ == "__main__":
    asyncio.run(main())
