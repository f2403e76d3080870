"""``gather()``: native children, and what asyncio's own does for the others. Both are asked the same questions."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref

import pytest

import aioxide

ASYNCIO = asyncio.gather


@pytest.fixture(params=["aioxide", "asyncio"])
def gather(request):
    return aioxide.gather if request.param == "aioxide" else ASYNCIO


def run(main):
    return aioxide.run(main())


async def give(value, turns=0):
    for _ in range(turns):
        await asyncio.sleep(0)
    return value


async def fail(error, turns=0):
    for _ in range(turns):
        await asyncio.sleep(0)
    raise error


def test_results_come_in_the_order_of_the_arguments(gather):
    async def main():
        future = asyncio.get_running_loop().create_future()
        future.set_result("future")
        task = asyncio.create_task(give("task", 3))
        gathered = gather(give(1, 5), task, future, give(2), aioxide.sleep(0, "sleep"))
        assert isinstance(gathered, asyncio.Future)
        assert isinstance(gathered, aioxide.Future)
        return await gathered

    assert run(main) == [1, "task", "future", 2, "sleep"]


def test_an_argument_given_twice_runs_once(gather):
    async def main():
        runs = []

        async def once():
            runs.append(1)
            return object()

        coroutine, task = once(), asyncio.create_task(once())
        results = await gather(coroutine, task, coroutine, task)
        assert results[0] is results[2] and results[1] is results[3]
        assert len(runs) == 2

    run(main)


def test_nothing_to_gather_is_an_empty_list(gather):
    async def main():
        assert await gather() == []

    run(main)


def test_the_first_failure_is_raised_and_the_others_go_on(gather):
    async def main():
        log = []

        async def slow():
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            log.append("ended")

        with pytest.raises(KeyError, match="first"):
            await gather(slow(), fail(KeyError("first")), fail(ValueError("second"), 1))
        await asyncio.sleep(0.01)
        assert log == ["ended"]

    run(main)


def test_exceptions_are_results_when_asked(gather):
    async def main():
        error = KeyError("seen")
        cancelled = asyncio.create_task(give(1, 10))
        cancelled.cancel("why")
        results = await gather(give(1), fail(error), cancelled, return_exceptions=True)
        assert results[:2] == [1, error]
        assert isinstance(results[2], asyncio.CancelledError)

    run(main)


def test_a_cancelled_child_cancels_the_one_who_waits(gather):
    async def main():
        child = asyncio.create_task(give(1, 10))
        asyncio.get_running_loop().call_soon(child.cancel, "why")
        with pytest.raises(asyncio.CancelledError, match="why"):
            await gather(child, give(2))

    run(main)


@pytest.mark.parametrize("return_exceptions", [False, True])
def test_cancelling_the_one_who_waits_cancels_the_children(gather, return_exceptions):
    async def main():
        cancelled = []

        async def child(number):
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                cancelled.append(number)
                raise

        async def wait():
            await gather(child(1), child(2), return_exceptions=return_exceptions)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert cancelled == [1, 2]

    run(main)


def test_a_child_that_ignores_the_cancellation_does_not_save_the_gatherer(gather):
    async def main():
        async def stubborn():
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                return "ignored"

        gathered = gather(stubborn(), return_exceptions=True)
        await asyncio.sleep(0)
        assert gathered.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gathered
        assert not gathered.cancel()

    run(main)


def test_cancelling_when_no_child_can_be_reached_says_no(gather):
    async def main():
        async def quick():
            return 1

        task = asyncio.create_task(quick())
        await task
        gathered = gather(task)
        if not gathered.done():
            assert not gathered.cancel()
        assert await gathered == [1]

    run(main)


def test_an_exception_after_the_end_counts_as_read(gather, caplog):
    async def main():
        with pytest.raises(KeyError):
            await gather(fail(KeyError()), fail(ValueError(), 2))
        await asyncio.sleep(0.01)
        gc.collect()

    run(main)
    gc.collect()
    assert not caplog.records


def test_a_failure_counts_as_read_when_gather_was_cancelled(gather, caplog):
    async def stubborn():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            raise KeyError("instead") from None

    async def main():
        gathered = asyncio.ensure_future(gather(stubborn(), asyncio.sleep(10), return_exceptions=True))
        await asyncio.sleep(0)
        gathered.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gathered
        del gathered
        gc.collect()

    run(main)
    gc.collect()
    assert not caplog.records


def test_a_failure_that_nobody_awaits_is_logged(gather, caplog):
    async def main():
        gather(fail(KeyError("unread")))
        await asyncio.sleep(0.01)

    run(main)
    gc.collect()
    assert "_GatheringFuture exception was never retrieved" in caplog.text


def test_awaitables_of_other_kinds_are_gathered_too(gather):
    class Awaitable:
        def __await__(self):
            return give("awaited").__await__()

    async def main():
        assert await gather(Awaitable(), give(1), asyncio.wait_for(give(2), 5)) == ["awaited", 1, 2]
        with pytest.raises(TypeError):
            await gather(5)

    run(main)


def test_a_subclass_of_future_is_gathered(gather):
    class Mine(aioxide.Future):
        pass

    async def main():
        future = Mine()
        asyncio.get_running_loop().call_soon(future.set_result, 3)
        assert await gather(future, give(1)) == [3, 1]

    run(main)


def test_without_a_loop_coroutines_are_refused(gather):
    coroutine = give(1)
    with pytest.raises((RuntimeError, DeprecationWarning)):
        gather(coroutine)
    coroutine.close()


def test_wrong_keywords_are_type_errors(gather):
    async def main():
        coroutine = give(1)
        with pytest.raises(TypeError):
            gather(coroutine, returns=True)
        coroutine.close()

    run(main)


def test_the_names_and_private_attributes_are_those_of_asyncio(gather):
    async def main():
        gathered = gather(give(1, 2), give(2, 2))
        assert type(gathered).__name__ == "_GatheringFuture"
        assert len(gathered._children) == 2
        assert gathered._cancel_requested is False
        assert "pending" in repr(gathered)
        (child, *_rest) = gathered._children
        assert len(child._callbacks) == 1
        assert "gather" in repr(child) or "_done_callback" in repr(child)
        await gathered
        gathered = gather(give(1))
        gathered.set_result("by hand")
        assert await gathered == "by hand"

    run(main)


def test_callbacks_of_children_can_be_called_by_hand():
    async def main():
        gathered = aioxide.gather(give(1, 5))
        (child,) = gathered._children
        ((callback, _context),) = child._callbacks
        assert child.remove_done_callback(callback) in (0, 1)
        child.cancel()

    run(main)


async def gather_them(gather, token):
    await gather(give(token), give(1))


def test_nothing_is_kept_when_it_is_over(gather):
    async def main():
        class Token:
            pass

        token = Token()
        reference = weakref.ref(token)
        await asyncio.create_task(gather_them(gather, token))
        del token
        await asyncio.sleep(0)
        gc.collect()
        assert reference() is None

    run(main)


def test_an_abandoned_cycle_is_collected(gather):
    async def main():
        future = asyncio.get_running_loop().create_future()
        gathered = gather(future)
        future.mine = gathered if hasattr(future, "__dict__") else None
        reference = weakref.ref(gathered)
        del future, gathered
        gc.collect()
        assert reference() is None

    run(main)


@pytest.mark.parametrize("seed", range(200))
def test_random_programs_end_as_on_asyncio(seed):
    """The oracle: the same program with asyncio's gather, on asyncio's loop, gives the same trace."""

    def program(gather):
        choice = random.Random(seed)

        async def main():
            log = []

            async def child(number):
                try:
                    for _ in range(choice.randrange(4)):
                        await asyncio.sleep(0)
                    match choice.randrange(6):
                        case 0:
                            raise KeyError(number)
                        case 1:
                            await asyncio.sleep(0)
                            raise asyncio.CancelledError(number)
                        case 2:
                            return (
                                await gather(child(number * 10), child(number * 10 + 1))
                                if number < 50
                                else number
                            )
                        case _:
                            return number
                except asyncio.CancelledError as error:
                    log.append(("cancelled", number, error.args))
                    if choice.randrange(4) == 0:
                        return "ignored"
                    raise
                finally:
                    log.append(("ended", number))

            children = [asyncio.create_task(child(number)) for number in range(1, choice.randrange(2, 6))]
            outer = gather(*children, child(7), return_exceptions=choice.random() < 0.5)
            outer.add_done_callback(lambda _: log.append("outer"))
            for _ in range(choice.randrange(6)):
                await asyncio.sleep(0)
                match choice.randrange(6):
                    case 0:
                        log.append(("cancel", outer.cancel("outer")))
                    case 1:
                        log.append(("cancel child", choice.choice(children).cancel("child")))
            try:
                log.append(("result", repr(await outer)))
            except BaseException as error:
                log.append(("error", repr(error)))
            for _ in range(20):
                await asyncio.sleep(0)
            return log

        return main

    theirs = _asyncio_run(program(ASYNCIO)())
    assert aioxide.run(program(aioxide.gather)()) == theirs


def _asyncio_run(main):
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(main)
