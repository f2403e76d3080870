"""A coroutine that nobody awaits never runs

Calling a coroutine function gives an object and runs none of its lines. When that object goes away without having
been awaited, Python says so with a RuntimeWarning: the most common mistake of a beginner.
"""

from __future__ import annotations

import asyncio
import gc
import warnings

calls: list[str] = []


async def save(what: str) -> None:
    calls.append(what)


async def main() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        save("forgotten")  # There is no await here.
        gc.collect()  # CPython frees it at once; other collectors take their time.

    (warning,) = caught
    print(f"{warning.category.__name__}: {warning.message}")
    assert issubclass(warning.category, RuntimeWarning)
    assert str(warning.message) == "coroutine 'save' was never awaited"
    assert calls == []

    await save("awaited")
    await asyncio.create_task(save("made a task"))
    print("what was saved:", ", ".join(calls))
    assert calls == ["awaited", "made a task"]


if __name__ == "__main__":
    asyncio.run(main())
