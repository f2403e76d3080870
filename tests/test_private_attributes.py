"""What libraries read though its name begins with an underscore: it is there, and says what asyncio's says."""

from __future__ import annotations

import asyncio
import collections
import contextvars
import inspect
import logging
import socket

import pytest

import aioxide
from test_wrong_calls import OURS, SUBJECTS, THEIRS, Face

#: What ours lack, by subject: they are made in another way.
LACKING = {"Timeout": {"__dict__", "__final__", "__weakref__"}}
#: Of transports, whose insides are others: what libraries look at.
LOOKED_AT = {
    "Transport": [
        "_sock",
        "_sock_fd",
        "_loop",
        "_protocol",
        "_extra",
        "_closing",
        "_conn_lost",
        "_eof",
        "_paused",
    ],
    "ReadPipeTransport": ["_pipe", "_fileno", "_loop", "_protocol", "_extra", "_closing", "_paused"],
    "WritePipeTransport": ["_pipe", "_fileno", "_loop", "_protocol", "_extra", "_closing", "_conn_lost"],
    "DatagramTransport": [
        "_sock",
        "_sock_fd",
        "_loop",
        "_protocol",
        "_extra",
        "_closing",
        "_conn_lost",
        "_address",
    ],
}
#: About how a class is written.
WRITTEN = {
    "__firstlineno__",
    "__static_attributes__",
    "__annotations__",
    "__annotate_func__",
    "__conditional_annotations__",
}
WRITTEN |= {"__annotations_cache__", "__annotate__"}


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL, logger="asyncio")


def names_of(face: Face, subject: str) -> set[str]:
    loop = face.new_loop()
    here, there = socket.socketpair()
    here.setblocking(False)

    async def look():
        thing = SUBJECTS[subject](face.api, loop, here)
        if inspect.iscoroutine(thing):
            thing = await thing
        names = {name for name in dir(thing) if hasattr(thing, name)}
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)
        return names

    names = loop.run_until_complete(look())
    for each in (here, there, loop):
        each.close()
    return names


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_name_of_asyncios_is_there(subject):
    expected = names_of(THEIRS, subject)
    if subject in LOOKED_AT:
        public = {name for name in expected if not name.startswith("_")}
        expected = {*LOOKED_AT[subject], *public} - {"max_size"}
    missing = expected - names_of(OURS, subject) - WRITTEN - LACKING.get(subject, set())
    assert sorted(missing) == []


PRIVATE = ["_state", "_result", "_exception", "_callbacks", "_log_traceback", "_asyncio_future_blocking"]
PRIVATE += ["_cancel_message", "_source_traceback"]
OF_TASKS = ["_must_cancel", "_fut_waiter", "_log_destroy_pending", "_num_cancels_requested"]


def described(value):
    """A value, without what differs from run to run."""
    if isinstance(value, asyncio.Future):
        return "a future", value.done()
    if isinstance(value, contextvars.Context):
        return "a context"
    if isinstance(value, (list, tuple)):
        return [described(each) for each in value]
    if isinstance(value, BaseException):
        return repr(value)
    return getattr(value, "__name__", value)


def look(future, names):
    return {name: described(getattr(future, name, "absent")) for name in names}


def called_back(future):
    pass


async def states_of_a_future(api, trace):
    loop = asyncio.get_running_loop()

    def note(future):
        trace.append(look(future, PRIVATE))

    future = api.Future(loop=loop)
    note(future)
    future.add_done_callback(called_back)
    note(future)
    future.add_done_callback(called_back, context=contextvars.copy_context())
    note(future)
    future.set_result(1)
    note(future)
    failing = api.Future(loop=loop)
    failing.set_exception(KeyError("seen"))
    note(failing)
    failing.exception()
    note(failing)
    cancelled = api.Future(loop=loop)
    cancelled.cancel("enough")
    note(cancelled)
    awaited = api.Future(loop=loop)
    iterator = iter(awaited)
    next(iterator)
    note(awaited)
    awaited._asyncio_future_blocking = False
    note(awaited)
    awaited._log_traceback = False
    awaited._cancel_message = "by hand"
    note(awaited)


async def states_of_a_task(api, trace):
    loop = asyncio.get_running_loop()

    def note(task):
        trace.append(look(task, PRIVATE + OF_TASKS))

    async def waits(future):
        note(asyncio.current_task())
        try:
            await future
        except asyncio.CancelledError:
            note(asyncio.current_task())
            await asyncio.sleep(0)
            raise

    for cancel in (False, True):
        future = loop.create_future()
        task = api.Task(waits(future), loop=loop, name="the task")
        trace.append((task._coro.__name__, task._loop is loop))
        note(task)
        await asyncio.sleep(0)
        note(task)
        trace.append(task._fut_waiter is future)
        task.add_done_callback(called_back)
        note(task)
        if cancel:
            task.cancel("enough")
            note(task)
            await asyncio.sleep(0)
            note(task)
            task.uncancel()
        else:
            future.set_result(None)
        note(task)
        await asyncio.wait([task])
        note(task)
    early = api.Task(waits(None), loop=loop)
    early.cancel("before it began")
    note(early)
    await asyncio.wait([early])
    note(early)
    forgotten = api.Task(waits(asyncio.sleep(0)), loop=loop)
    forgotten._log_destroy_pending = False
    note(forgotten)
    await forgotten


@pytest.mark.parametrize("states", [states_of_a_future, states_of_a_task])
@pytest.mark.parametrize("debug", [False, True])
def test_the_states_are_asyncios(states, debug):
    def trace_of(api, new_loop):
        trace = []
        with asyncio.Runner(loop_factory=new_loop, debug=debug) as runner:
            runner.run(states(api, trace))
        if debug:
            # Where it was made: another place each time.
            for entry in trace:
                if isinstance(entry, dict):
                    entry["_source_traceback"] = bool(entry["_source_traceback"])
        return trace

    expected = trace_of(asyncio, asyncio.SelectorEventLoop)
    assert trace_of(aioxide, aioxide.new_event_loop) == expected


def test_a_loops_queues_can_be_looked_at_and_taken_from():
    def trace_of(new_loop):
        loop = new_loop()
        trace = []
        for number in range(3):
            loop.call_soon(trace.append, number)
            loop.call_later(100 - number, trace.append, number)
        trace.append((len(loop._ready), bool(loop._ready), len(loop._scheduled)))
        trace.append([described(handle._args) for handle in loop._ready])
        trace.append([handle._args[0] for handle in [loop._scheduled[0], loop._ready[-1]]])
        handle = loop._ready.popleft()
        handle._run()
        trace.append((handle._args, handle._cancelled, handle._callback == trace.append))
        loop._ready.append(handle)
        loop.call_soon(loop.stop)
        loop.run_forever()
        trace.append((len(loop._ready), len(loop._scheduled), loop._closed, loop._thread_id, loop._stopping))
        loop._scheduled.clear()
        trace.append((len(loop._scheduled), loop._debug, loop._default_executor, loop._task_factory))
        trace.append(
            (loop._exception_handler, loop._signal_handlers, loop._current_handle, loop._clock_resolution)
        )
        here, there = socket.socketpair()
        with here, there:
            loop.add_reader(here, int)
            trace.append(here.fileno() in loop._selector.get_map())
            key = loop._selector.get_key(here)
            trace.append((key.fd == here.fileno(), key.events, key.data[0] is not None, key.data[1]))
            loop.remove_reader(here)
            trace.append(here.fileno() in loop._selector.get_map())
        loop.close()
        trace.append((loop._closed, len(loop._ready), loop._selector))
        return trace

    theirs, ours = trace_of(asyncio.SelectorEventLoop), trace_of(aioxide.new_event_loop)
    assert ours == theirs
    assert isinstance(asyncio.SelectorEventLoop()._ready, collections.deque)
