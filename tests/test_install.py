"""``install()`` and ``uninstall()``, the policy, and what ``asyncio.all_tasks()`` sees in every mode."""

from __future__ import annotations

import asyncio
import asyncio.tasks
import gc
import os
import signal
import sys
import threading
import unittest
import warnings
import weakref

import pytest

import aioxide
from aioxide import installation

StdlibTask, StdlibFuture, stdlib_sleep = asyncio.Task, asyncio.Future, asyncio.sleep

PLACES = [
    (asyncio, "Task", aioxide.Task),
    (asyncio.tasks, "Task", aioxide.Task),
    (asyncio.tasks, "_CTask", aioxide.Task),
    (asyncio, "Future", aioxide.Future),
    (asyncio.futures, "Future", aioxide.Future),
    (asyncio.futures, "_CFuture", aioxide.Future),
    (asyncio, "create_task", aioxide.create_task),
    (asyncio.tasks, "create_task", aioxide.create_task),
    (asyncio, "sleep", aioxide.sleep),
    (asyncio.tasks, "sleep", aioxide.sleep),
    (asyncio.streams, "sleep", aioxide.sleep),
]
# What the tests themselves ask for is deprecated from 3.14 on.
pytestmark = pytest.mark.filterwarnings("ignore:.*olicy' is deprecated:DeprecationWarning")
needs_registry = pytest.mark.skipif(
    sys.version_info >= (3, 14),
    reason="later, CPython is told of tasks without a registry: test_visibility.py",
)
needs_eager_tasks = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")


@pytest.fixture
def installed():
    aioxide.install()
    yield
    aioxide.uninstall()


@pytest.fixture
def no_policy():
    """The state of a process that has not asked for a loop yet; the tests' own policy comes back."""
    before = asyncio.events._event_loop_policy
    asyncio.set_event_loop_policy(None)
    yield
    asyncio.set_event_loop_policy(before)


def contents():
    """Return every name of every module of asyncio, with what stands there."""
    modules = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "asyncio"}
    return {(name, key): value for name, module in modules.items() for key, value in vars(module).items()}


def differences(before, after):
    return sorted(key for key in before.keys() | after.keys() if before.get(key) is not after.get(key))


def test_importing_aioxide_replaces_nothing():
    assert asyncio.Task is not aioxide.Task
    assert asyncio.Future is not aioxide.Future
    assert asyncio.sleep is not aioxide.sleep


@pytest.mark.parametrize(("module", "name", "native"), PLACES)
def test_install_replaces(installed, module, name, native):
    assert getattr(module, name) is native


@pytest.mark.usefixtures("no_policy")
def test_uninstall_leaves_asyncio_as_it_was():
    before = contents()
    aioxide.install()
    assert differences(before, contents())
    aioxide.uninstall()
    assert differences(before, contents()) == []


@pytest.mark.usefixtures("no_policy")
def test_installing_twice_is_installing_once():
    before = contents()
    aioxide.install()
    once = contents()
    aioxide.install()
    assert differences(once, contents()) == []
    aioxide.uninstall()
    assert differences(before, contents()) == []


def test_uninstall_without_install_does_nothing():
    before = contents()
    aioxide.uninstall()
    assert differences(before, contents()) == []


def test_install_works_again_after_uninstall(installed):
    aioxide.uninstall()
    aioxide.install()
    assert asyncio.Task is aioxide.Task
    assert type(asyncio.run(running_loop())) is aioxide.EventLoop


def test_uninstall_leaves_what_others_replaced_since():
    async def theirs(delay):
        """Another sleep."""

    aioxide.install()
    asyncio.sleep = theirs
    aioxide.uninstall()
    try:
        assert asyncio.sleep is theirs
        assert asyncio.tasks.sleep is stdlib_sleep
    finally:
        asyncio.sleep = stdlib_sleep


@pytest.mark.usefixtures("no_policy")
def test_uninstall_restores_the_policy_of_before():
    mine = asyncio.DefaultEventLoopPolicy()
    asyncio.set_event_loop_policy(mine)
    aioxide.install()
    assert isinstance(asyncio.get_event_loop_policy(), aioxide.EventLoopPolicy)
    aioxide.uninstall()
    assert asyncio.get_event_loop_policy() is mine


@pytest.mark.usefixtures("no_policy")
def test_uninstall_leaves_a_policy_that_was_set_since():
    mine = asyncio.DefaultEventLoopPolicy()
    aioxide.install()
    asyncio.set_event_loop_policy(mine)
    aioxide.uninstall()
    assert asyncio.get_event_loop_policy() is mine


def during_install(monkeypatch, function):
    """Call ``function`` in another thread in the middle of the next ``install()``; return the thread."""
    thread = threading.Thread(target=function)

    class Policy(aioxide.EventLoopPolicy):
        def __init__(self):
            if thread.ident is None:
                thread.start()
                # It may get through, if nothing holds it back.
                thread.join(0.2)
            super().__init__()

    monkeypatch.setattr(installation, "EventLoopPolicy", Policy)
    return thread


@pytest.mark.usefixtures("no_policy")
def test_install_in_two_threads_is_installing_once(monkeypatch):
    seen = []

    def second():
        aioxide.install()
        seen.append(contents())

    before = contents()
    thread = during_install(monkeypatch, second)
    try:
        aioxide.install()
        thread.join()
        assert differences(seen[0], contents()) == []
    finally:
        aioxide.uninstall()
    assert differences(before, contents()) == []


@pytest.mark.usefixtures("no_policy")
def test_uninstall_waits_for_an_install_in_another_thread(monkeypatch):
    before = contents()
    thread = during_install(monkeypatch, aioxide.uninstall)
    try:
        aioxide.install()
        thread.join()
        assert differences(before, contents()) == []
    finally:
        aioxide.uninstall()


@pytest.mark.usefixtures("no_policy")
def test_a_child_forked_during_an_install_is_not_locked_out(monkeypatch):
    forked = []

    def fork():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Threads and fork: meant.
            pid = os.fork()
        if pid:
            forked.append(pid)
            return
        code = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(10)
            aioxide.install()
            installed = asyncio.Task is aioxide.Task
            aioxide.uninstall()
            code = 0 if installed and asyncio.Task is StdlibTask else 2
        finally:
            os._exit(code)

    thread = during_install(monkeypatch, fork)
    try:
        aioxide.install()
        thread.join()
    finally:
        aioxide.uninstall()
    _, status = os.waitpid(forked[0], 0)
    assert os.waitstatus_to_exitcode(status) == 0


async def running_loop():
    return asyncio.get_running_loop()


def test_asyncios_ways_to_a_loop_lead_to_ours(installed):
    assert type(asyncio.run(running_loop())) is aioxide.EventLoop
    with asyncio.Runner() as runner:
        assert type(runner.get_loop()) is aioxide.EventLoop
    loop = asyncio.new_event_loop()
    assert type(loop) is aioxide.EventLoop
    loop.close()


@pytest.mark.skipif(sys.version_info < (3, 13), reason="asyncio.EventLoop came with 3.13")
def test_asyncios_event_loop_class_is_ours(installed):
    assert asyncio.EventLoop is aioxide.EventLoop
    assert type(asyncio.run(running_loop(), loop_factory=asyncio.EventLoop)) is aioxide.EventLoop


def test_unittests_own_loop_is_ours(installed):
    loops = []

    class Case(unittest.IsolatedAsyncioTestCase):
        async def test(self):
            loops.append(asyncio.get_running_loop())

    result = Case("test").run()
    assert result.wasSuccessful()
    assert [type(loop) for loop in loops] == [aioxide.EventLoop]


def test_asyncios_functions_make_native_tasks_and_futures(installed):
    async def current():
        await asyncio.sleep(0)
        return asyncio.current_task()

    async def main():
        async with asyncio.TaskGroup() as group:
            grouped = group.create_task(current())
        return [
            grouped.result(),
            *await asyncio.gather(current(), current()),
            await asyncio.create_task(current()),
            await asyncio.ensure_future(current()),
            await asyncio.wait_for(current(), 60),
            await asyncio.shield(current()),
        ]

    tasks = asyncio.run(main())
    assert [type(task) for task in tasks] == [aioxide.Task] * len(tasks)


def test_a_stdlib_loop_runs_native_tasks(installed):
    async def child():
        await asyncio.sleep(0.001)
        return asyncio.current_task(), asyncio.get_running_loop()

    async def main():
        return await asyncio.wait_for(asyncio.gather(child(), child()), 60)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        results = runner.run(main())
    assert {(type(task), type(loop)) for task, loop in results} == {(aioxide.Task, asyncio.SelectorEventLoop)}


def test_isinstance_holds_for_names_imported_before(installed):
    async def main():
        return asyncio.current_task(), asyncio.get_running_loop().create_future()

    task, future = asyncio.run(main())
    assert isinstance(task, StdlibTask)
    assert isinstance(task, StdlibFuture)
    assert isinstance(future, StdlibFuture)
    assert not isinstance(future, StdlibTask)


def test_isinstance_holds_for_objects_made_before():
    loop = asyncio.SelectorEventLoop()
    future = loop.create_future()
    aioxide.install()
    try:
        assert isinstance(future, asyncio.Future)
        assert not isinstance(future, asyncio.Task)
    finally:
        aioxide.uninstall()
        loop.close()


@needs_eager_tasks
def test_asyncios_eager_task_factory_makes_native_tasks(installed):
    started = []

    async def child():
        started.append(asyncio.current_task())

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        task = asyncio.create_task(child())
        assert started == [task]
        assert task.done()
        return task

    assert type(asyncio.run(main())) is aioxide.Task


def test_the_policy_is_the_default_one_with_our_loop():
    policy = aioxide.EventLoopPolicy()
    assert isinstance(policy, asyncio.DefaultEventLoopPolicy)
    loop = policy.new_event_loop()
    assert type(loop) is aioxide.EventLoop
    policy.set_event_loop(loop)
    assert policy.get_event_loop() is loop
    policy.set_event_loop(None)
    with pytest.raises(RuntimeError, match="no current event loop"):
        policy.get_event_loop()
    loop.close()


@pytest.mark.usefixtures("no_policy")
def test_asyncio_takes_the_policy():
    asyncio.set_event_loop_policy(aioxide.EventLoopPolicy())
    assert type(asyncio.run(running_loop())) is aioxide.EventLoop


# all_tasks()


def registry():
    name = "_scheduled_tasks" if sys.version_info >= (3, 12) else "_all_tasks"
    return getattr(asyncio.tasks, name)


@pytest.mark.parametrize("run", [aioxide.run, asyncio.run])
def test_all_tasks_are_those_of_the_loop_that_have_not_finished(run):
    async def main():
        gate = asyncio.Event()
        waiting = [asyncio.create_task(gate.wait()) for _ in range(3)]
        finished = asyncio.create_task(asyncio.sleep(0))
        await finished
        expected = {*waiting, asyncio.current_task()}
        assert asyncio.all_tasks() == expected
        assert await asyncio.to_thread(asyncio.all_tasks, asyncio.get_running_loop()) == expected
        gate.set()
        await asyncio.gather(*waiting)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())


def test_all_tasks_of_one_loop_are_not_those_of_another():
    loops = [aioxide.new_event_loop(), aioxide.new_event_loop(), asyncio.SelectorEventLoop()]
    tasks = [loop.create_task(asyncio.sleep(0)) for loop in loops]
    assert [asyncio.all_tasks(loop) for loop in loops] == [{task} for task in tasks]
    for loop, task in zip(loops, tasks, strict=True):
        loop.run_until_complete(task)
        assert asyncio.all_tasks(loop) == set()
        loop.close()


def test_all_tasks_shows_native_and_stdlib_tasks_together():
    async def main():
        gate = asyncio.Event()
        loop = asyncio.get_running_loop()
        native = loop.create_task(gate.wait())
        accelerated = StdlibTask(gate.wait(), loop=loop)
        tasks = {native, accelerated}
        if sys.version_info < (3, 14):
            # Later, asyncio's pure-Python tasks are known to its pure-Python functions only.
            tasks.add(asyncio.tasks._PyTask(gate.wait(), loop=loop))
        assert asyncio.all_tasks() == {*tasks, asyncio.current_task()}
        assert len(asyncio.all_tasks()) == len(tasks) + 1
        gate.set()
        await asyncio.gather(*tasks)

    aioxide.run(main())


@needs_eager_tasks
def test_all_tasks_shows_a_task_in_its_eager_step():
    seen = []

    async def child():
        seen.append(asyncio.current_task() in asyncio.all_tasks())

    async def main():
        asyncio.get_running_loop().set_task_factory(aioxide.eager_task_factory)
        await asyncio.create_task(child())

    aioxide.run(main())
    assert seen == [True]


@needs_registry
def test_a_native_task_is_listed_once_even_if_it_was_registered():
    async def main():
        task = asyncio.current_task()
        asyncio._register_task(task)
        try:
            assert list(registry()).count(task) == 1
            assert len(registry()) == len(list(registry()))
        finally:
            asyncio._unregister_task(task)
        assert list(registry()).count(task) == 1

    aioxide.run(main())


@needs_registry
def test_the_registry_contains_what_it_lists():
    async def main():
        task = asyncio.current_task()
        assert task in registry()
        assert len(registry()) == len(list(registry()))
        return task

    task = aioxide.run(main())
    assert task not in registry()
    assert object() not in registry()


@needs_registry
def test_what_is_made_of_the_registry_does_not_grow():
    async def main():
        copy = registry().copy()
        union = registry() | set()
        task = asyncio.create_task(asyncio.sleep(0))
        assert asyncio.current_task() in copy
        assert asyncio.current_task() in union
        assert task not in copy
        assert task not in union
        await task

    aioxide.run(main())


def test_the_registry_keeps_no_task_alive():
    loop = aioxide.new_event_loop()

    async def main():
        return len(asyncio.all_tasks())

    task = loop.create_task(main())
    loop.run_until_complete(task)
    assert task.result() == 1
    reference = weakref.ref(task)
    del task
    gc.collect()
    assert reference() is None
    loop.close()
