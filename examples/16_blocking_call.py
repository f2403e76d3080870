"""A blocking call stops everybody, and the watchdog tells who it was

``time.sleep()`` in a coroutine blocks the whole loop: nothing else runs. ``aioxide.watch()`` reports that while it
happens: which task, for how long, and the line. The warning below is logged by itself; a callback gets the same
report. The cure is ``asyncio.to_thread()``.
"""

from __future__ import annotations

import asyncio
import time

import aioxide


async def heartbeat(gaps: list[float]) -> None:
    """Note how long each 20 ms really took."""
    while True:
        started = time.perf_counter()
        await asyncio.sleep(0.02)
        gaps.append(time.perf_counter() - started)


async def careless() -> None:
    time.sleep(0.5)  # Here the loop stands still.


async def careful() -> None:
    await asyncio.to_thread(time.sleep, 0.5)


async def main() -> None:
    reports: list[aioxide.BlockedReport] = []
    gaps: list[float] = []
    beating = asyncio.create_task(heartbeat(gaps), name="heartbeat")

    with aioxide.watch(threshold=0.1, callback=reports.append):
        await asyncio.sleep(0.1)
        await asyncio.create_task(careless(), name="careless")
        await asyncio.sleep(0.1)
        # One report of the incident, not one at every look.
        (report,) = [report for report in reports if report.task_name == "careless"]
        print(f"reported after {report.duration:.2f} s: task {report.task_name!r}")
        print(f"time.sleep():  {len(gaps):3} beats, the longest took {max(gaps):.2f} s")
        assert 0.1 <= report.duration < 0.5  # That is, before the call was over.
        assert "time.sleep(0.5)" in report.stack
        assert max(gaps) > 0.4

        gaps.clear()
        await asyncio.create_task(careful(), name="careful")
        print(f"to_thread():   {len(gaps):3} beats, the longest took {max(gaps):.2f} s")
        assert "careful" not in [report.task_name for report in reports]
        assert len(gaps) > 5

    beating.cancel()


if __name__ == "__main__":
    # The watchdog knows aioxide's loops only, so this one asks for one also under plain Python.
    aioxide.run(main())
