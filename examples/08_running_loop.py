"""The running loop, and callbacks on its clock

``asyncio.get_running_loop()`` gives the loop that runs this very code, and raises RuntimeError where none does.
The loop itself knows callbacks only: as soon as possible, in so many seconds, or at a time of its own clock.
"""

from __future__ import annotations

import asyncio


async def main() -> None:
    loop = asyncio.get_running_loop()
    print("the loop is a", f"{type(loop).__module__}.{type(loop).__qualname__}")
    assert loop is asyncio.get_running_loop()
    assert isinstance(loop, asyncio.AbstractEventLoop)
    assert loop.is_running()

    happened: list[str] = []
    finished = asyncio.Event()
    now = loop.time()

    loop.call_at(now + 0.4, finished.set)
    loop.call_at(now + 0.2, happened.append, "call_at")
    loop.call_later(0.1, happened.append, "call_later")
    loop.call_soon(happened.append, "call_soon")
    cancelled = loop.call_later(0.3, happened.append, "never")
    cancelled.cancel()

    happened.append("main goes on first")
    await finished.wait()

    print(" -> ".join(happened), f"({loop.time() - now:.2f} s)")
    assert happened == ["main goes on first", "call_soon", "call_later", "call_at"]


if __name__ == "__main__":
    try:
        asyncio.get_running_loop()
    except RuntimeError as error:
        print("outside:", error)
    else:
        raise AssertionError("there is a running loop outside of asyncio.run()")
    asyncio.run(main())
