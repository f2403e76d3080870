"""``import aioxide as asyncio``: every name of asyncio, native where there is a native one."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import subprocess
import sys
from importlib import import_module

import pytest

import aioxide

#: The names of asyncio for which aioxide has something of its own.
NATIVE = {
    "as_completed",
    "wait",
    "wait_for",
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "Event",
    "EventLoop",
    "Future",
    "Handle",
    "LifoQueue",
    "Lock",
    "PriorityQueue",
    "Queue",
    "Runner",
    "Semaphore",
    "StreamReader",
    "StreamReaderProtocol",
    "StreamWriter",
    "Task",
    "TaskGroup",
    "Timeout",
    "TimerHandle",
    "create_task",
    "eager_task_factory",
    "ensure_future",
    "gather",
    "new_event_loop",
    "open_connection",
    "open_unix_connection",
    "run",
    "shield",
    "sleep",
    "start_server",
    "start_unix_server",
    "timeout",
    "timeout_at",
}
#: The names that asyncio does not have.
OWN = {
    "BlockedReport",
    "EventLoopPolicy",
    "Strict",
    "StrictModeError",
    "Watch",
    "__version__",
    "install",
    "uninstall",
    "watch",
}

if sys.version_info < (3, 13):
    OWN.add("QueueShutDown")
if sys.version_info < (3, 14):
    NATIVE.add("all_tasks")
if sys.version_info < (3, 12):
    OWN |= {"create_eager_task_factory", "eager_task_factory"}
    NATIVE.discard("eager_task_factory")

SUBMODULES = sorted(
    name for name, value in vars(asyncio).items() if inspect.ismodule(value) and name != "sys"
)


def test_every_public_name_of_asyncio_is_exported():
    assert set(asyncio.__all__) <= set(aioxide.__all__)
    assert len(set(aioxide.__all__)) == len(aioxide.__all__)


def test_what_asyncio_forgot_to_export_is_exported():
    # 3.11 does so with TaskGroup.
    classes = {name for name, value in vars(asyncio).items() if inspect.isclass(value) and name[0] != "_"}
    assert "TaskGroup" in classes
    assert classes <= set(aioxide.__all__)


def test_aioxides_own_names_are_exported():
    assert OWN | NATIVE <= set(aioxide.__all__)


@pytest.mark.parametrize("name", sorted({*asyncio.__all__, "TaskGroup"} - NATIVE))
def test_what_is_not_native_is_asyncios(name):
    assert getattr(aioxide, name) is getattr(asyncio, name)


@pytest.mark.parametrize("name", sorted(NATIVE & set(asyncio.__all__)))
def test_what_is_native_is_not_asyncios(name):
    assert getattr(aioxide, name) is not getattr(asyncio, name)


def test_a_star_import_gives_every_exported_name():
    names = {}
    exec("from aioxide import *", names)
    assert set(aioxide.__all__) <= names.keys()
    assert names["Task"] is aioxide.Task
    assert names["gather"] is aioxide.gather
    assert names["Queue"] is aioxide.Queue


@pytest.mark.parametrize("submodule", SUBMODULES)
def test_every_submodule_offers_asyncios_names(submodule):
    original = getattr(asyncio, submodule)
    found = getattr(aioxide, submodule)
    missing = [name for name in vars(original) if not name.startswith("__") and not hasattr(found, name)]
    assert missing == []
    assert set(vars(original)) - set(dir(found)) - {"__cached__", "__warningregistry__"} == set()


def test_our_modules_keep_their_own_names():
    assert aioxide.events is import_module("aioxide.events")
    assert aioxide.events.EventLoop is aioxide.EventLoop
    assert aioxide.runners.run is aioxide.run
    assert aioxide.events.AbstractEventLoop is asyncio.AbstractEventLoop
    assert aioxide.transports.Transport is asyncio.Transport


def test_names_that_asyncio_gets_later_are_found(monkeypatch):
    monkeypatch.setattr(asyncio, "novelty", object(), raising=False)
    assert aioxide.novelty is asyncio.novelty


@pytest.mark.parametrize("module", [aioxide, aioxide.events, aioxide.transports, aioxide.runners])
def test_an_unknown_name_is_an_attribute_error_in_the_modules_own_name(module):
    with pytest.raises(AttributeError) as caught:
        module.no_such_name
    assert str(caught.value) == f"module {module.__name__!r} has no attribute 'no_such_name'"
    assert (caught.value.name, caught.value.obj) == ("no_such_name", module)


def test_an_unknown_name_cannot_be_imported():
    with pytest.raises(ImportError, match="cannot import name 'no_such_name' from 'aioxide'"):
        exec("from aioxide import no_such_name")


def test_asyncios_special_attributes_do_not_become_ours():
    assert not hasattr(aioxide.events, "__path__")
    assert not hasattr(aioxide, "__wrapped__")
    assert aioxide.__spec__.name == "aioxide"
    assert aioxide.__doc__ != asyncio.__doc__


def test_dir_lists_both():
    names = dir(aioxide)
    assert names == sorted(set(names))
    assert {*OWN, *NATIVE, *asyncio.__all__, "streams", "locks"} <= set(names)


@pytest.mark.parametrize("name", ["EventLoop", "EventLoopPolicy", "Runner", "run", "new_event_loop"])
def test_what_python_defines_can_be_pickled_by_name(name):
    assert pickle.loads(pickle.dumps(getattr(aioxide, name))) is getattr(aioxide, name)


def test_an_asyncio_program_runs_under_the_name():
    program = """
import aioxide as asyncio

async def echo(reader, writer):
    writer.write(await reader.readexactly(4))
    await writer.drain()
    writer.close()

async def main():
    task: asyncio.Task = asyncio.create_task(asyncio.sleep(0, "slept"))
    queue = asyncio.Queue()
    async with asyncio.TaskGroup() as group, asyncio.timeout(30), asyncio.Lock():
        group.create_task(queue.put("queued"))
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"echo")
    print(await task, await queue.get(), await asyncio.wait_for(reader.read(), 30))
    writer.close()
    server.close()
    await server.wait_closed()
    try:
        async with asyncio.timeouts.timeout(0):
            await asyncio.Future()
    except asyncio.TimeoutError:
        print(type(asyncio.events.get_running_loop()).__module__, isinstance(task, asyncio.tasks.Task))

asyncio.run(main())
"""
    assert output("-X", "dev", "-W", "error", "-c", program) == "slept queued b'echo'\naioxide.events True\n"


def test_importing_warns_of_nothing():
    assert output("-W", "error", "-c", "import aioxide; from aioxide import *; print(run)").startswith(
        "<function"
    )


@pytest.mark.parametrize(
    "module", ["aioxide._aioxide", "aioxide.events", "aioxide.namespace", "aioxide.policy"]
)
def test_any_module_may_be_imported_first(module):
    assert output("-W", "error", "-c", f"import {module}; print(aioxide.Task.__name__)") == "Task\n"


def test_importing_leaves_asyncio_alone():
    program = """
import asyncio, asyncio.tasks
modules = [asyncio, asyncio.base_events, asyncio.events, asyncio.futures, asyncio.tasks, asyncio.unix_events]
before = [dict(vars(module)) for module in modules]
import aioxide
print(all(old == vars(module) for old, module in zip(before, modules)))
"""
    assert output("-c", program) == "True\n"


def output(*arguments):
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout
