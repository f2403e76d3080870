"""A Future is the place where a callback leaves a result

Callbacks and coroutines meet in a Future: somebody awaits it, somebody else calls ``set_result()`` later. All of
asyncio rests on it; programs need it where they connect code that knows callbacks only.
"""

from __future__ import annotations

import asyncio
import time


def measure(when_done: asyncio.Future[str]) -> None:
    """Do as a library does that reports by a callback."""
    if not when_done.done():  # It may have been cancelled meanwhile.
        when_done.set_result("21.5 °C")


async def main() -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()
    finished: list[str] = []
    future.add_done_callback(lambda done: finished.append(done.result()))

    started = time.perf_counter()
    loop.call_later(0.5, measure, future)
    print("waiting:", "done" if future.done() else "pending")
    result = await future

    took = time.perf_counter() - started
    print(f"the result: {result}, after {took:.2f} s; its own callback saw {finished}")
    assert result == "21.5 °C"
    assert finished == ["21.5 °C"]
    assert 0.4 < took < 1.5

    try:
        future.set_result("22 °C")
    except asyncio.InvalidStateError as error:
        print("a second result:", type(error).__name__, error)
    else:
        raise AssertionError("a Future took two results")


if __name__ == "__main__":
    asyncio.run(main())
