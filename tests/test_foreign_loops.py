"""Everything of ``aioxide.*`` that a coroutine calls works on loops that are not ours, in tasks of either kind."""

from __future__ import annotations

import asyncio
import inspect
import threading

import pytest

import aioxide

LOOPS = {"asyncio": asyncio.SelectorEventLoop}
try:
    import uvloop
except ImportError:
    pass
else:
    LOOPS["uvloop"] = uvloop.new_event_loop

#: Who runs ``main()``: the loop's own task, or one of ours on that loop.
TASKS = {"own": None, "native": lambda loop, coro, **options: aioxide.Task(coro, loop=loop, **options)}


@pytest.fixture(params=LOOPS)
def factory(request):
    return LOOPS[request.param]


@pytest.fixture(params=TASKS)
def run(request, factory):
    def run(main):
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.get_loop().set_task_factory(TASKS[request.param])
            problems = []
            runner.get_loop().set_exception_handler(lambda loop, context: problems.append(context))
            result = runner.run(asyncio.wait_for(main(), 30))
        assert problems == []
        return result

    return run


async def value(number, delay=0.0):
    await aioxide.sleep(delay)
    return number


async def fails(delay=0.0):
    await aioxide.sleep(delay)
    raise KeyError(delay)


async def forever():
    await asyncio.get_running_loop().create_future()


def test_sleep(run):
    async def main():
        assert await aioxide.sleep(0, "now") == "now"
        assert await aioxide.sleep(0.001, "then") == "then"
        sleeping = aioxide.create_task(aioxide.sleep(100))
        await aioxide.sleep(0)
        sleeping.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await sleeping

    run(main)


def test_a_sleep_is_accepted_wherever_a_coroutine_is(run, factory):
    async def main():
        asleep = aioxide.sleep(0, 1)
        assert asyncio.iscoroutine(asleep)
        assert inspect.isawaitable(asleep)
        loop = asyncio.get_running_loop()
        assert await asleep == 1
        assert await asyncio.create_task(aioxide.sleep(0.001, 2)) == 2
        assert await asyncio.ensure_future(aioxide.sleep(0, 3)) == 3
        assert await loop.create_task(aioxide.sleep(0, 4)) == 4
        assert await asyncio.Task(aioxide.sleep(0.001, 5), loop=loop) == 5
        assert await aioxide.Task(aioxide.sleep(0.001, 6), loop=loop) == 6
        assert await asyncio.gather(aioxide.sleep(0, 7), aioxide.sleep(0.001, 8)) == [7, 8]
        assert await asyncio.wait_for(aioxide.sleep(0, 9), 5) == 9
        assert await asyncio.shield(aioxide.sleep(0, 10)) == 10
        async with asyncio.TaskGroup() as group:
            grouped = group.create_task(aioxide.sleep(0, 11))
        assert grouped.result() == 11
        concurrent = asyncio.run_coroutine_threadsafe(aioxide.sleep(0, 12), loop)
        assert await asyncio.wrap_future(concurrent) == 12
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(aioxide.sleep(100), 0.001)

    run(main)
    assert asyncio.run(aioxide.sleep(0, 13)) == 13
    assert aioxide.run(aioxide.sleep(0, 14)) == 14
    loop = factory()
    assert loop.run_until_complete(aioxide.sleep(0.001, 15)) == 15
    loop.close()


def test_gather_and_wait(run):
    async def main():
        assert await aioxide.gather(value(1), value(2, 0.001), aioxide.create_task(value(3))) == [1, 2, 3]
        with pytest.raises(KeyError):
            await aioxide.gather(value(1), fails())
        collected = await aioxide.gather(fails(), value(1), return_exceptions=True)
        assert repr(collected) == "[KeyError(0.0), 1]"
        tasks = [aioxide.create_task(value(1, 0.001)), aioxide.create_task(forever())]
        done, pending = await aioxide.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert (done, pending) == ({tasks[0]}, {tasks[1]})
        done, pending = await aioxide.wait([tasks[1]], timeout=0.001)
        assert (done, pending) == (set(), {tasks[1]})
        gathering = aioxide.gather(tasks[1])
        gathering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gathering
        assert tasks[1].cancelled()

    run(main)


def test_wait_for_and_shield(run):
    async def main():
        assert await aioxide.wait_for(value(1, 0.001), 10) == 1
        assert await aioxide.wait_for(value(1, 0.001), None) == 1
        with pytest.raises(TimeoutError):
            await aioxide.wait_for(forever(), 0.001)
        with pytest.raises(KeyError):
            await aioxide.wait_for(fails(), 10)
        assert await aioxide.shield(value(1)) == 1
        inner = aioxide.create_task(value(2, 0.01))
        outer = aioxide.shield(inner)
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
        assert await inner == 2

    run(main)


def test_as_completed(run):
    async def main():
        delays = [0.02, 0.001, 0.01]
        plain = [await each for each in aioxide.as_completed([value(delay, delay) for delay in delays])]
        assert plain == sorted(delays)
        tasks = [aioxide.create_task(value(delay, delay)) for delay in delays]
        futures = [future async for future in aioxide.as_completed(tasks)]
        assert [future.result() for future in futures] == sorted(delays)
        slow = aioxide.create_task(forever())
        with pytest.raises(TimeoutError):
            async for _ in aioxide.as_completed([slow], timeout=0.001):
                pass
        slow.cancel()

    run(main)


def test_timeouts(run):
    async def main():
        loop = asyncio.get_running_loop()
        async with aioxide.timeout(10) as timeout:
            await aioxide.sleep(0.001)
        assert not timeout.expired()
        with pytest.raises(TimeoutError):
            async with aioxide.timeout(0.001):
                await forever()
        with pytest.raises(TimeoutError):
            async with aioxide.timeout_at(loop.time() - 1):
                await forever()
        with pytest.raises(TimeoutError):
            async with aioxide.timeout(None) as timeout:
                timeout.reschedule(loop.time() + 0.001)
                await forever()
        assert timeout.expired()

    run(main)


def test_task_groups(run):
    async def main():
        async with aioxide.TaskGroup() as group:
            tasks = [group.create_task(value(number, 0.001 * number)) for number in range(3)]
        assert [task.result() for task in tasks] == [0, 1, 2]
        with pytest.raises(ExceptionGroup) as caught:
            async with aioxide.TaskGroup() as group:
                cancelled = group.create_task(forever())
                group.create_task(fails(0.001))
                await forever()
        assert repr(caught.value.exceptions) == "(KeyError(0.001),)"
        assert cancelled.cancelled()
        async with aioxide.TaskGroup() as group:
            cancelled = group.create_task(forever())
            asyncio.get_running_loop().call_later(0.001, group.cancel)
            await forever()
        assert cancelled.cancelled()

    run(main)


@pytest.mark.parametrize("kind", ["Queue", "PriorityQueue", "LifoQueue"])
def test_queues(run, kind):
    async def main():
        queue = getattr(aioxide, kind)(1)

        async def produce():
            for number in range(20):
                await queue.put(number)
            await queue.join()
            queue.shutdown()

        async def consume():
            try:
                while True:
                    seen.append(await queue.get())
                    queue.task_done()
            except aioxide.QueueShutDown:
                return

        seen = []
        with pytest.raises(TimeoutError):
            await aioxide.wait_for(queue.get(), 0.001)
        await aioxide.gather(consume(), produce(), consume())
        assert sorted(seen) == list(range(20))

    run(main)


@pytest.mark.parametrize(
    "make", [aioxide.Lock, aioxide.Condition, aioxide.Semaphore, aioxide.BoundedSemaphore]
)
def test_locks_let_one_in_at_a_time(run, make):
    async def main():
        lock = make()
        inside = most = 0

        async def worker():
            nonlocal inside, most
            for _ in range(3):
                async with lock:
                    inside += 1
                    most = max(most, inside)
                    await aioxide.sleep(0)
                    inside -= 1

        waiting = aioxide.create_task(worker())
        async with lock:
            await aioxide.sleep(0)
            waiting.cancel()
        await aioxide.gather(*(worker() for _ in range(4)))
        assert (inside, most) == (0, 1)
        assert waiting.cancelled()

    run(main)


def test_events_conditions_and_barriers_wake_who_waits(run):
    async def main():
        event, condition, barrier = aioxide.Event(), aioxide.Condition(), aioxide.Barrier(3)

        async def notified():
            async with condition:
                return await condition.wait_for(lambda: ready)

        ready = False
        waiting = [aioxide.create_task(event.wait()), aioxide.create_task(notified())]
        await aioxide.sleep(0.001)
        event.set()
        ready = True
        async with condition:
            condition.notify_all()
        assert await aioxide.gather(*waiting) == [True, True]
        assert sorted(await aioxide.gather(*(barrier.wait() for _ in range(3)))) == [0, 1, 2]
        broken = [aioxide.create_task(barrier.wait()) for _ in range(2)]
        await aioxide.sleep(0.001)
        await barrier.abort()
        results = await aioxide.gather(*broken, return_exceptions=True)
        assert [type(result) for result in results] == [aioxide.BrokenBarrierError] * 2

    run(main)


def test_threads(run):
    async def main():
        loop = asyncio.get_running_loop()
        assert await aioxide.to_thread(threading.get_ident) != threading.get_ident()
        concurrent = await aioxide.to_thread(aioxide.run_coroutine_threadsafe, value(1), loop)
        assert await aioxide.wrap_future(concurrent) == 1
        task = aioxide.ensure_future(value(2))
        assert task in aioxide.all_tasks()
        assert await task == 2
        assert isinstance(aioxide.current_task(), asyncio.Task)

    run(main)


def test_native_futures_and_tasks(run):
    async def main():
        loop = asyncio.get_running_loop()
        future = aioxide.Future()
        assert future.get_loop() is loop
        loop.call_soon(future.set_result, 1)
        assert await future == 1
        task = aioxide.Task(value(aioxide.current_task))
        current = await task
        assert current() is asyncio.current_task()
        failing = aioxide.Task(fails(0.001))
        with pytest.raises(KeyError):
            await failing

    run(main)
