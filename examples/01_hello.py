"""Hello, and a sleep that lets others work

``async def`` makes a coroutine function. Calling it runs nothing yet: ``asyncio.run()`` starts an event loop,
runs the coroutine on it to its end, and returns what it returned. ``await asyncio.sleep(1)`` pauses this
coroutine only; the loop is free meanwhile.
"""

from __future__ import annotations

import asyncio
import inspect
import time


async def main() -> str:
    print("hello")
    await asyncio.sleep(1)
    print("world")
    return "done"


if __name__ == "__main__":
    coroutine = main()
    assert inspect.iscoroutine(coroutine)
    print(f"main() gave {type(coroutine).__name__!r}, and nothing ran so far")

    started = time.perf_counter()
    result = asyncio.run(coroutine)
    took = time.perf_counter() - started

    print(f"asyncio.run() returned {result!r} after {took:.2f} s")
    assert result == "done"
    assert 0.9 < took < 2
