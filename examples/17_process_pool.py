"""Work for the processor belongs in a process pool

Counting primes waits for nothing, so in a coroutine it blocks the loop, and a thread would fight with the loop for
the interpreter's lock. ``run_in_executor()`` with a ``ProcessPoolExecutor`` sends it to other processes: the loop
stays free, and every processor core can help. Arguments and results are pickled; a function goes by its name.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor

LIMITS = [90_000, 90_001, 90_002, 90_003]


def count_primes(limit: int) -> tuple[int, int]:
    """Return how many primes lie below the limit, counted the slow way, and the process that did it."""
    found = sum(
        all(number % divisor for divisor in range(2, int(number**0.5) + 1)) for number in range(2, limit)
    )
    return found, os.getpid()


async def heartbeat(gaps: list[float]) -> None:
    """Note how long each 20 ms really took."""
    while True:
        started = time.perf_counter()
        await asyncio.sleep(0.02)
        gaps.append(time.perf_counter() - started)


async def main() -> None:
    gaps: list[float] = []
    beating = asyncio.create_task(heartbeat(gaps), name="heartbeat")
    await asyncio.sleep(0.1)

    started = time.perf_counter()
    in_the_loop = [count_primes(limit) for limit in LIMITS]
    seconds = time.perf_counter() - started
    await asyncio.sleep(0.05)
    longest = max(gaps)
    print(f"in the loop:  {seconds:.2f} s, the longest beat took {longest:.2f} s")
    assert {pid for _, pid in in_the_loop} == {os.getpid()}
    assert longest >= seconds  # Nobody else had a turn.

    loop = asyncio.get_running_loop()
    # "spawn" starts fresh interpreters: a fork would copy a loop and its threads in the middle of their work.
    with ProcessPoolExecutor(max_workers=2, mp_context=multiprocessing.get_context("spawn")) as pool:
        # The processes start with the first call, which is not what we want to measure.
        await asyncio.gather(*(loop.run_in_executor(pool, time.sleep, 0.2) for _ in range(2)))
        gaps.clear()
        started = time.perf_counter()
        in_the_pool = await asyncio.gather(
            *(loop.run_in_executor(pool, count_primes, limit) for limit in LIMITS)
        )
        seconds = time.perf_counter() - started
        pids = {pid for _, pid in in_the_pool}
        print(f"in {len(pids)} processes: {seconds:.2f} s, the longest beat took {max(gaps):.2f} s")

    assert [found for found, _ in in_the_pool] == [found for found, _ in in_the_loop]
    assert os.getpid() not in pids
    assert max(gaps) < longest / 2  # The loop went on meanwhile.
    print(f"{in_the_pool[0][0]} primes below {LIMITS[0]}")

    beating.cancel()


# Not only good manners: the pool's processes import this file, and must not start the program again.
if __name__ == "__main__":
    asyncio.run(main())
