"""``wait``, ``wait_for``, ``as_completed``, ``shield``: the same on asyncio and here, on our loop and on asyncio's."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref

import pytest

import aioxide


@pytest.fixture(params=["asyncio", "aioxide", "aioxide on asyncio's loop"])
def face(request):
    """(the functions, how to run)."""
    if request.param == "asyncio":
        return asyncio, asyncio.run
    return aioxide, aioxide.run if request.param == "aioxide" else asyncio.run


async def value(result, delay=0):
    await asyncio.sleep(delay)
    return result


async def failing():
    raise KeyError("seen")


def names(tasks):
    return sorted(task.get_name() for task in tasks)


def test_wait_until_all_have_ended(face):
    api, run = face

    async def main():
        tasks = [asyncio.create_task(value(n), name=str(n)) for n in range(3)]
        done, pending = await api.wait(tasks)
        assert type(done) is set
        assert (names(done), pending) == (["0", "1", "2"], set())
        # Those that have ended before.
        done, pending = await api.wait({*tasks})
        assert (len(done), pending) == (3, set())

    run(main())


def test_wait_until_the_first_has_ended(face):
    api, run = face

    async def main():
        slow, quick = (asyncio.create_task(value(n, n), name=str(n)) for n in (5, 0))
        done, pending = await api.wait((slow, quick), return_when=api.FIRST_COMPLETED)
        assert (names(done), names(pending)) == (["0"], ["5"])
        slow.cancel()

    run(main())


def test_wait_until_the_first_has_failed(face):
    api, run = face

    async def main():
        tasks = [
            asyncio.create_task(value(1)),
            asyncio.create_task(failing()),
            asyncio.create_task(value(1, 5)),
        ]
        done, pending = await api.wait(tasks, return_when=api.FIRST_EXCEPTION, timeout=5)
        assert pending == {tasks[2]}
        tasks[2].cancel()
        # One that was cancelled is no failure.
        tasks = [asyncio.create_task(value(1, 5)), asyncio.create_task(value(1, 0.01))]
        tasks[0].cancel()
        done, pending = await api.wait(tasks, return_when=api.FIRST_EXCEPTION)
        assert done == {*tasks}

    run(main())


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_wait_for_a_time(face, timeout):
    api, run = face

    async def main():
        slow = asyncio.create_task(value(1, 5))
        done, pending = await api.wait([slow], timeout=timeout)
        assert (done, pending) == (set(), {slow})
        slow.cancel()

    run(main())


def test_wait_leaves_nothing_behind_in_a_future(face):
    api, run = face

    async def main():
        future = asyncio.get_running_loop().create_future()
        await api.wait([future], timeout=0)
        assert not future._callbacks
        waiting = asyncio.create_task(api.wait([future]))
        await asyncio.sleep(0)
        assert len(future._callbacks) == 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not future._callbacks
        assert not future.done()

    run(main())


def test_what_wait_refuses(face):
    api, run = face

    async def main():
        for arguments, error, text in (
            (([],), ValueError, "Set of Tasks/Futures is empty"),
            ((asyncio.get_running_loop().create_future(),), TypeError, "expect a list of futures, not"),
        ):
            with pytest.raises(error, match=text):
                await api.wait(*arguments)
        with pytest.raises(ValueError, match="Invalid return_when value: soon"):
            await api.wait([asyncio.create_task(value(1))], return_when="soon")
        coroutine = value(1)
        with pytest.raises(TypeError, match="Passing coroutines is forbidden"):
            await api.wait([coroutine])
        coroutine.close()

    run(main())


def test_wait_for_gives_the_result(face):
    api, run = face

    async def main():
        task, future = asyncio.create_task(value(2)), asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, 3)
        for awaitable, result in ((value(1), 1), (task, 2), (future, 3), (asyncio.sleep(0, 4), 4)):
            assert await api.wait_for(awaitable, 5) == result
        assert await api.wait_for(value(1), None) == 1
        with pytest.raises(KeyError, match="seen"):
            await api.wait_for(failing(), 5)

    run(main())


@pytest.mark.parametrize("timeout", [0.01, 0, -1])
def test_wait_for_too_long(face, timeout):
    api, run = face

    async def main():
        task = asyncio.create_task(value(1, 5))
        with pytest.raises(TimeoutError) as caught:
            await api.wait_for(task, timeout)
        assert isinstance(caught.value.__cause__, asyncio.CancelledError)
        assert isinstance(caught.value.__context__, asyncio.CancelledError)
        assert task.cancelled()
        assert asyncio.current_task().cancelling() == 0

    run(main())


def test_wait_for_is_cancelled_with_what_it_waits_for(face):
    api, run = face

    async def main():
        inner = asyncio.create_task(value(1, 5))
        outer = asyncio.create_task(api.wait_for(inner, 5))
        await asyncio.sleep(0.001)
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
        assert inner.cancelled()

    run(main())


def test_what_ignores_its_cancellation_ends_wait_for_with_its_result(face):
    api, run = face

    async def stubborn():
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            return "late"

    async def main():
        assert await api.wait_for(stubborn(), 0.01) == "late"
        assert asyncio.current_task().cancelling() == 0

    run(main())


def test_as_completed_gives_results_in_the_order_of_their_ends(face):
    api, run = face

    async def main():
        awaitables = [value(1, 0.03), value(2, 0.01), asyncio.create_task(value(3, 0.02)), value(4)]
        assert [await one for one in api.as_completed(awaitables)] == [4, 2, 3, 1]
        assert list(api.as_completed([])) == []

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 13), reason="asyncio has it from 3.13 on")
def test_as_completed_gives_futures_asynchronously(face):
    api, run = face
    run(futures_in_order(api))


def test_as_completed_is_an_asynchronous_iterator_on_every_version():
    aioxide.run(futures_in_order(aioxide))


async def futures_in_order(api):
    tasks = [asyncio.create_task(value(n, 0.01 * n)) for n in (2, 1)]
    seen = [task async for task in api.as_completed(tasks)]
    assert seen == tasks[::-1]
    assert [await task for task in seen] == [1, 2]


def test_as_completed_for_a_time(face):
    api, run = face

    async def main():
        slow = asyncio.create_task(value(1, 5))
        results = []
        with pytest.raises(TimeoutError):
            for one in api.as_completed([value(2), slow], timeout=0.01):
                results.append(await one)
        assert results == [2]
        assert not slow._callbacks
        slow.cancel()

    run(main())


def test_as_completed_takes_several(face):
    api, run = face

    async def main():
        coroutine = value(1)
        for one in (coroutine, asyncio.get_running_loop().create_future()):
            with pytest.raises(TypeError, match="an iterable of"):
                list(api.as_completed(one))
        coroutine.close()

    run(main())


def test_as_completed_gives_each_once(face):
    api, run = face

    async def main():
        event_loop = asyncio.get_running_loop()
        future = event_loop.create_future()
        task = asyncio.create_task(value(1))
        coroutine = value(3, 0.01)
        event_loop.call_later(0.02, future.set_result, 2)
        awaitables = [task, future, task, coroutine, future, coroutine]
        assert [await one for one in api.as_completed(iter(awaitables))] == [1, 3, 2]

    run(main())


def test_as_completed_refuses_a_future_of_another_loop(face):
    api, run = face
    other = asyncio.new_event_loop()
    future = other.create_future()

    async def main():
        with pytest.raises(ValueError, match="belongs to a different loop"):
            list(api.as_completed([future]))

    run(main())
    other.close()


def test_time_is_up_for_what_has_ended_in_the_same_turn(face):
    """What as_completed() was not told of in time raises TimeoutError, though it has a result."""
    api, run = face

    async def main():
        event_loop = asyncio.get_running_loop()
        futures = [event_loop.create_future() for _ in range(3)]
        ends = 0
        waiting = [asyncio.ensure_future(one) for one in api.as_completed(futures, timeout=0.01)]
        await asyncio.sleep(0)
        futures[0].set_result("early")
        done, _ = await api.wait(waiting)
        for one in done:
            ends += isinstance(one.exception(), TimeoutError)
        assert (len(done), ends) == (3, 2)
        futures[1].set_result("late")
        await asyncio.sleep(0)

    run(main())


@pytest.mark.parametrize("kind", ["result", "exception", "cancelled"])
def test_shield_ends_as_what_it_shields(face, kind):
    api, run = face

    async def main():
        inner = asyncio.get_running_loop().create_future()
        outer = api.shield(inner)
        assert outer is not inner
        if kind == "result":
            inner.set_result(1)
        elif kind == "exception":
            inner.set_exception(KeyError("seen"))
        else:
            inner.cancel("not passed on")
        assert not outer.done()
        try:
            assert await outer == 1
            assert kind == "result"
        except KeyError:
            assert kind == "exception"
        except asyncio.CancelledError as error:
            assert kind == "cancelled"
            assert not error.args
        assert (outer.cancelled(), inner.cancelled()) == (kind == "cancelled",) * 2
        assert api.shield(inner) is inner

    run(main())


def test_shield_keeps_a_cancellation_out(face):
    api, run = face

    async def main():
        inner = asyncio.create_task(value(1, 0.01))
        waiting = asyncio.create_task(api.wait_for(api.shield(inner), 5))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not inner.done()
        assert await inner == 1

    run(main())


def test_shield_takes_coroutines_and_other_awaitables(face):
    api, run = face

    class Awaitable:
        def __await__(self):
            return value(2).__await__()

    async def main():
        assert await api.shield(value(1)) == 1
        assert await api.shield(Awaitable()) == 2
        for wrong in (1, None, "text"):
            with pytest.raises(TypeError):
                api.shield(wrong)

    run(main())


def test_shield_tells_of_a_failure_that_nobody_waits_for(face):
    api, run = face
    reports = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reports.append(context["message"])
        )
        inner = asyncio.get_running_loop().create_future()
        outers = [api.shield(inner) for _ in range(3)]
        await asyncio.sleep(0)
        for outer in outers:
            outer.cancel()
        await asyncio.sleep(0)
        inner.set_exception(KeyError("seen"))
        await asyncio.sleep(0)
        inner.exception()
        # Both end in the same turn.
        inner = asyncio.get_running_loop().create_future()
        outer = api.shield(inner)
        outer.cancel()
        inner.set_exception(KeyError("seen"))
        await asyncio.sleep(0)
        del inner, outer
        gc.collect()

    run(main())
    expected = []
    if hasattr(asyncio.tasks, "_log_on_exception"):
        expected = ["KeyError exception in shielded future", "Future exception was never retrieved"]
    assert reports == expected


def test_shield_where_somebody_else_ends_the_outer_future(face):
    api, run = face
    reports = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reports.append(context["exception"])
        )
        inner = asyncio.get_running_loop().create_future()
        outer = api.shield(inner)
        outer.set_result("other")
        inner.set_result("own")
        await asyncio.sleep(0)
        assert (outer.result(), inner.result()) == ("other", "own")

    run(main())
    assert [type(report) for report in reports] == [asyncio.InvalidStateError]


def test_shields_are_collected():
    async def main():
        inner = asyncio.get_running_loop().create_future()
        outer = aioxide.shield(inner)
        inner.outer, outer.mark = outer, inner
        gone = weakref.ref(inner)
        del inner, outer
        gc.collect()
        return gone

    assert aioxide.run(main())() is None


def test_nothing_is_kept_by_a_wait_that_was_given_up():
    class Result:
        pass

    async def main():
        future = asyncio.get_running_loop().create_future()
        result = Result()
        gone = weakref.ref(result)
        future.result_to_be = result
        for waiting in (aioxide.wait([future]), aioxide.wait_for(future, 50)):
            task = asyncio.create_task(waiting)
            await asyncio.sleep(0)
            task.cancel()
            del task, waiting
        iterator = aioxide.as_completed([future], timeout=50)
        del iterator, result, future
        await asyncio.sleep(0)
        gc.collect()
        return gone

    assert aioxide.run(main())() is None


def test_iscoroutine():
    coroutines = [aioxide.wait([]), aioxide.wait_for(None, 1)]
    assert all(asyncio.iscoroutine(one) for one in coroutines)
    for one in coroutines:
        one.close()
