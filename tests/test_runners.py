"""``run()`` and ``Runner``: asyncio's, on our loop."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import aioxide

RUNNERS = [asyncio.Runner, aioxide.Runner]


async def running_loop():
    return asyncio.get_running_loop()


def test_run_returns_the_result_on_a_native_loop():
    assert type(aioxide.run(running_loop())) is aioxide.EventLoop


def test_run_closes_the_loop():
    assert aioxide.run(running_loop()).is_closed()


def test_run_raises_what_the_coroutine_raised():
    async def main():
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        aioxide.run(main())


def test_the_main_task_is_native():
    async def main():
        return asyncio.current_task()

    assert isinstance(aioxide.run(main()), aioxide.Task)


@pytest.mark.filterwarnings("ignore:.*olicy' is deprecated:DeprecationWarning")
def test_run_uses_our_loop_whatever_policy_is_set():
    assert type(asyncio.get_event_loop_policy()) is not aioxide.EventLoopPolicy
    assert type(aioxide.run(running_loop())) is aioxide.EventLoop
    assert type(asyncio.run(running_loop())) is not aioxide.EventLoop


def test_run_takes_a_loop_factory():
    loop = aioxide.run(running_loop(), loop_factory=asyncio.SelectorEventLoop)
    assert type(loop) is asyncio.SelectorEventLoop


@pytest.mark.parametrize("debug", [True, False])
def test_run_sets_debug_mode(debug):
    async def main():
        return asyncio.get_running_loop().get_debug()

    assert aioxide.run(main(), debug=debug) is debug


def test_debug_mode_is_the_environments_by_default():
    code = "import aioxide\nasync def f(): return aioxide.get_running_loop().get_debug()\nprint(aioxide.run(f()))"
    command = [sys.executable, "-X", "dev", "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True\n"


def test_run_refuses_a_running_loop_with_asyncios_words():
    async def main(run):
        coroutine = running_loop()
        try:
            with pytest.raises(RuntimeError) as caught:
                run(coroutine)
        finally:
            coroutine.close()
        return str(caught.value)

    assert aioxide.run(main(aioxide.run)) == aioxide.run(main(asyncio.run))


@pytest.mark.parametrize("wrong", [None, 1, running_loop, "coroutine"])
def test_run_takes_coroutines_only(wrong):
    with pytest.raises(Exception) as expected:
        asyncio.run(wrong)
    with pytest.raises(type(expected.value)) as caught:
        aioxide.run(wrong)
    assert str(caught.value) == str(expected.value)


def test_run_takes_options_by_keyword_only():
    coroutine = running_loop()
    with pytest.raises(TypeError):
        aioxide.run(coroutine, True)
    coroutine.close()


def test_run_cancels_what_is_left_over():
    ended = []

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(asyncio.current_task().cancelling())

    async def main():
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        return task

    assert aioxide.run(main()).cancelled()
    assert ended == [1]


def test_run_finalizes_asynchronous_generators():
    ended = []
    kept = []

    async def numbers():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    async def main():
        generator = numbers()
        kept.append(generator)
        return await anext(generator)

    assert aioxide.run(main()) == 1
    assert ended == [True]


def test_run_shuts_the_default_executor_down():
    async def main():
        return await asyncio.to_thread(threading.current_thread)

    assert not aioxide.run(main()).is_alive()


def test_run_works_in_several_threads_at_once():
    barrier = threading.Barrier(3, timeout=30)

    async def main():
        await asyncio.to_thread(barrier.wait)
        return asyncio.get_running_loop()

    with ThreadPoolExecutor(3) as pool:
        loops = list(pool.map(lambda _: aioxide.run(main()), range(3)))
    assert len(set(loops)) == 3


@pytest.mark.parametrize("run", [asyncio.run, aioxide.run])
def test_ctrl_c_cancels_the_main_task(run):
    seen = []

    async def main():
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(main())
    assert seen == ["cancelled"]
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_runner_is_asyncios():
    assert issubclass(aioxide.Runner, asyncio.Runner)
    with aioxide.Runner() as runner:
        assert type(runner.get_loop()) is aioxide.EventLoop


def test_a_runner_keeps_loop_and_context():
    variable = contextvars.ContextVar("variable", default=0)

    async def count():
        variable.set(variable.get() + 1)
        return asyncio.get_running_loop(), variable.get()

    with aioxide.Runner() as runner:
        first, second = runner.run(count()), runner.run(count())
    assert first[0] is second[0]
    assert (first[1], second[1], variable.get()) == (1, 2, 0)


def test_a_runner_makes_its_loop_when_it_is_first_needed():
    made = []

    def factory():
        made.append(aioxide.new_event_loop())
        return made[-1]

    runner = aioxide.Runner(loop_factory=factory)
    assert made == []
    loop = runner.get_loop()
    runner.close()
    assert made == [loop]
    assert loop.is_closed()


def test_a_factory_is_called_even_if_it_is_false():
    class Factory:
        def __bool__(self):
            return False

        def __call__(self):
            return asyncio.SelectorEventLoop()

    with aioxide.Runner(loop_factory=Factory()) as runner:
        assert type(runner.get_loop()) is asyncio.SelectorEventLoop


def test_a_closed_runner_refuses():
    runner = aioxide.Runner()
    runner.run(running_loop())
    runner.close()
    runner.close()
    with pytest.raises(RuntimeError, match="Runner is closed"):
        runner.get_loop()


@pytest.mark.parametrize("runner_class", RUNNERS)
def test_a_runners_own_loop_is_the_current_one_until_it_is_closed(runner_class):
    def use():
        with runner_class() as runner:
            runner.run(running_loop())
            assert asyncio.get_event_loop() is runner.get_loop()
        with pytest.raises(RuntimeError, match="no current event loop"):
            asyncio.get_event_loop()

    in_a_thread(use)


@pytest.mark.parametrize("runner_class", RUNNERS)
def test_the_loop_of_a_given_factory_is_not_made_current(runner_class):
    def use():
        mine = asyncio.SelectorEventLoop()
        asyncio.set_event_loop(mine)
        with runner_class(loop_factory=aioxide.new_event_loop) as runner:
            runner.run(running_loop())
            assert asyncio.get_event_loop() is mine
        assert asyncio.get_event_loop() is mine
        mine.close()

    in_a_thread(use)


def in_a_thread(function):
    # The current loop belongs to a thread; the one of the tests is left alone.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(function).result()
