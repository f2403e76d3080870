"""Every public call, with wrong arguments: it raises here what it raises on asyncio.

Each public name of asyncio and each public method of what it makes is called on both with the same arguments, most of
them nonsense, by position and by name. What is compared is what comes of it: the exception and its text, or a plain
result. How a *number* of arguments is refused is worded by the interpreter, differently for functions in C.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import logging
import random
import re
import socket
import sys
import warnings

import pytest

import aioxide

pytestmark = pytest.mark.filterwarnings("ignore")

#: Made anew for each call: of the loop that the call is made on.
CORO, FUTURE, DONE = "a coroutine", "a future", "a future that is done"


class Thing:
    def __repr__(self):
        return "<Thing>"


POOL = [
    None,
    True,
    0,
    1,
    -1,
    2**70,
    1.5,
    float("nan"),
    float("inf"),
    "x",
    b"x",
    Thing(),
    int,
    [],
    (),
    {},
    ...,
]
POOL += [CORO, FUTURE, DONE]
#: By name: nonsense, and what many functions know.
NAMED = [{"nonsense": 1}, {"loop": 1}, {"context": 1}, {"timeout": "x"}, {"name": 1}, {"msg": 1}]
#: Values for parameters that are all given by their names.
SENSIBLE = {
    "callback": int,
    "coro": CORO,
    "func": int,
    "delay": 0,
    "when": 1.5,
    "fs": [],
    "fut": DONE,
    "arg": DONE,
}
SENSIBLE |= {"maxsize": 2, "value": 1, "parties": 2, "sig": 10, "n": 1, "data": b"x", "list_of_data": [b"x"]}

#: Makes what is called, in a coroutine on its loop.
SUBJECTS = {
    "module": lambda api, loop, sock: api,
    "loop": lambda api, loop, sock: loop,
    "Future": lambda api, loop, sock: api.Future(loop=loop),
    "Task": lambda api, loop, sock: api.Task(forever(), loop=loop),
    "Handle": lambda api, loop, sock: loop.call_soon(int),
    "TimerHandle": lambda api, loop, sock: loop.call_at(1e9, int),
    "Queue": lambda api, loop, sock: api.Queue(1),
    "PriorityQueue": lambda api, loop, sock: api.PriorityQueue(),
    "LifoQueue": lambda api, loop, sock: api.LifoQueue(),
    "Lock": lambda api, loop, sock: api.Lock(),
    "Event": lambda api, loop, sock: api.Event(),
    "Condition": lambda api, loop, sock: api.Condition(),
    "Semaphore": lambda api, loop, sock: api.Semaphore(),
    "BoundedSemaphore": lambda api, loop, sock: api.BoundedSemaphore(),
    "Barrier": lambda api, loop, sock: api.Barrier(2),
    "Timeout": lambda api, loop, sock: api.Timeout(10),
    "TaskGroup": lambda api, loop, sock: api.TaskGroup(),
    "Runner": lambda api, loop, sock: api.Runner(),
    "StreamReader": lambda api, loop, sock: api.StreamReader(loop=loop),
    "StreamWriter": lambda api, loop, sock: connect_streams(api, sock),
    "Transport": lambda api, loop, sock: connect(loop, sock),
    "Server": lambda api, loop, sock: loop.create_server(asyncio.Protocol, "127.0.0.1", 0),
    "DatagramTransport": lambda api, loop, sock: receive(loop),
    "ReadPipeTransport": lambda api, loop, sock: connect_pipe(loop.connect_read_pipe, sock),
    "WritePipeTransport": lambda api, loop, sock: connect_pipe(loop.connect_write_pipe, sock),
    "StreamReaderProtocol": lambda api, loop, sock: api.StreamReaderProtocol(
        api.StreamReader(loop=loop), loop=loop
    ),
}

#: What is not called, and why.
LEFT_OUT = {
    "loop": {
        # They end the loop that the test needs.
        *("close", "run_forever", "shutdown_default_executor"),
        # A thread answers, sooner or later.
        *("create_connection", "create_datagram_endpoint", "create_server", "getaddrinfo", "getnameinfo"),
        *("run_in_executor", "sock_connect", "sock_sendto"),
        # Of functions that pass their arguments on; theirs are checked when the coroutine runs.
        "create_unix_server",
        # They start children.
        *("subprocess_exec", "subprocess_shell"),
    },
    "module": {
        *("create_subprocess_exec", "create_subprocess_shell"),
        *("open_connection", "start_server", "to_thread"),
        # It takes no selector.
        *("EventLoop", "SelectorEventLoop"),
        # Watchers of children, and what is set for all of the process.
        *("AbstractChildWatcher", "FastChildWatcher", "MultiLoopChildWatcher", "PidfdChildWatcher"),
        *("SafeChildWatcher", "ThreadedChildWatcher", "get_child_watcher", "set_child_watcher"),
        "set_event_loop_policy",
        # They print.
        *("print_call_graph",),
    },
    # They run a loop of their own.
    "Runner": {"run", "close"},
    "Task": {"print_stack"},
    "Server": {"serve_forever"},
    "StreamWriter": {"start_tls"},
}

#: Their ``__init__()`` is called once: by the loop, or by who owns them.
MADE_BY_OTHERS = {
    "loop",
    "Server",
    "Transport",
    "DatagramTransport",
    "ReadPipeTransport",
    "WritePipeTransport",
    "Runner",
}

#: Known differences: subject, method, arguments, reason.
EXPECTED = [
    ("loop", "call_at", (), "asyncio takes anything and spoils its heap"),
    ("loop", "call_later", (float("nan"),), "NaN is no time; asyncio spoils its heap"),
    ("Handle", "__init__", (), "nonsense in the place of the loop breaks differently"),
    ("StreamReader", "read(exactly)?", (1.5,), "asyncio waits for a number of bytes that cannot be"),
    ("StreamReader", "read(exactly)?", (float("inf"),), "asyncio waits for a number of bytes that cannot be"),
    ("StreamReader", "read(exactly)?", (float("nan"),), "asyncio waits for a number of bytes that cannot be"),
    ("StreamReader", "readuntil", ("x",), "asyncio refuses a str when data comes"),
    ("StreamReader", "readuntil", ([],), "asyncio asks for the length first"),
    ("StreamReader", "readuntil", ({},), "asyncio asks for the length first"),
    ("module", "StreamWriter", (), "asyncio's makes a future that may never be needed"),
    ("StreamWriter", "__init__", (), "asyncio's makes a future that may never be needed"),
    ("(Transport|StreamWriter)", "writelines", (DONE,), "asyncio asserts that there are data"),
    ("WritePipeTransport", "write", (), "asyncio has an assertion, ours a TypeError as of other transports"),
    ("module", "sleep", (float("nan"),), "NaN is no time; before 3.13 asyncio spoils its heap"),
    ("module", "wait_for", (..., float("nan")), "NaN is no time; asyncio spoils its heap"),
    ("module", "eager_task_factory", (), "ours finds the running loop when it is given None"),
]
if sys.version_info < (3, 13):
    EXPECTED.append(("StreamReader", "readuntil", ((),), "a tuple of separators, as in 3.13"))
if sys.version_info[:2] == (3, 12):
    EXPECTED.append(("Future|Task", "exception|get_loop|result", (), "asyncio takes any argument by name"))
if sys.version_info < (3, 12):
    EXPECTED.append(("(Transport|StreamWriter)", "writelines", (), "in the words of 3.12's"))


async def nothing():
    pass


async def forever():
    await asyncio.get_running_loop().create_future()


async def connect(loop, sock):
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=sock)
    return transport


async def connect_streams(api, sock):
    _, writer = await api.open_connection(sock=sock)
    return writer


async def connect_pipe(connect, sock):
    # A socket will do.
    transport, _ = await connect(asyncio.Protocol, sock.makefile("rwb", 0))
    return transport


async def receive(loop):
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
    return transport


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    logging.disable(logging.CRITICAL)
    # Of objects whose __init__() has failed.
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
        # Loops and tasks that calls have made.
        gc.collect()
    logging.disable(logging.NOTSET)


#: An exception that says how many arguments a function takes, or how they are called.
ARITY = re.compile(
    r"takes |missing .*argument|unexpected keyword|multiple values|positional-only|given by name|invalid keyword"
)
#: What differs though it means the same: addresses, descriptors, numbers of tasks, who defines a class.
ACCIDENTS = [
    (r"0x[0-9a-f]+", "0x"),
    (r"fd=\d+", "fd="),
    (r"Task-\d+", "Task-"),
    (r"\('127.0.0.1', \d+\)", "an address"),
    (r"\b(_asyncio|aioxide|asyncio)\.((_aioxide|events|locks|runners|streams|unix_events)\.)?", ""),
    (r"\b_UnixSelectorEventLoop|_SelectorSocketTransport|_SelectorDatagramTransport\b", "Native"),
    (r"\bSocketTransport|EventLoop|DatagramTransport\b", "Native"),
]


def text_of(value):
    text = str(value)
    if ARITY.search(text):
        return "a number of arguments"
    for pattern, replacement in ACCIDENTS:
        text = re.sub(pattern, replacement, text)
    return text


def describe(value):
    if isinstance(value, BaseException):
        return type(value).__name__, text_of(value)
    return text_of(repr(value)) if isinstance(value, (type(None), bool, int, str, bytes)) else None


class Face:
    """asyncio or aioxide: makes a call, and says what came of it."""

    def __init__(self, api, new_loop):
        self.api, self.new_loop = api, new_loop

    def outcome(self, subject, name, arguments, keywords):
        loop = self.new_loop()
        loop.set_exception_handler(lambda loop, context: None)
        coroutines = []
        here, there = socket.socketpair()
        here.setblocking(False)

        def filled(value):
            if value is CORO:
                coroutines.append(nothing())
                return coroutines[-1]
            if value is FUTURE or value is DONE:
                future = loop.create_future()
                if value is DONE:
                    future.set_result(1)
                return future
            return value

        async def main():
            called = SUBJECTS[subject](self.api, loop, here)
            if inspect.iscoroutine(called):
                called = await called
            positional = [filled(value) for value in arguments]
            named = {key: filled(value) for key, value in keywords.items()}
            try:
                result = getattr(called, name)(*positional, **named)
                if inspect.isawaitable(result):
                    return await self.awaited(result)
                return "returns", describe(result)
            except BaseException as error:
                return "raises", describe(error)

        try:
            return loop.run_until_complete(main())
        except BaseException as error:
            return "breaks", describe(error)
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.call_soon(loop.stop)
            # asyncio's breaks by what call_at() took.
            with contextlib.suppress(TypeError):
                loop.run_forever()
            for each in (*coroutines, here, there, loop):
                each.close()

    async def awaited(self, awaitable):
        async def waiter():
            return await awaitable

        # By turns of the loop, not by time.
        task = asyncio.ensure_future(waiter())
        for _ in range(10):
            if task.done():
                break
            await asyncio.sleep(0)
        else:
            return ("waits",)
        if task.cancelled():
            return ("cancelled",)
        if error := task.exception():
            return "raises", describe(error)
        return "returns", describe(task.result())


THEIRS = Face(asyncio, asyncio.SelectorEventLoop)
OURS = Face(aioxide, aioxide.new_event_loop)


def members(subject):
    """The names that are called, each with the parameters that asyncio's has."""
    found = []
    loop = THEIRS.new_loop()
    here, there = socket.socketpair()
    here.setblocking(False)

    async def look():
        thing = SUBJECTS[subject](asyncio, loop, here)
        if inspect.iscoroutine(thing):
            thing = await thing
        names = asyncio.__all__ if subject == "module" else dir(thing)
        for name in names:
            if name in LEFT_OUT.get(subject, ()) or (name.startswith("_") and name != "__init__"):
                continue
            if name == "__init__" and subject in MADE_BY_OTHERS:
                continue
            if callable(member := getattr(thing, name, None)) and member is not type:
                found.append((name, parameters_of(member)))
        for task in asyncio.all_tasks(loop) - {asyncio.current_task()}:
            task.cancel()

    loop.run_until_complete(look())
    for each in (here, there, loop):
        each.close()
    return found


def parameters_of(member):
    try:
        parameters = inspect.signature(member).parameters.values()
    except (TypeError, ValueError):
        return []
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [each.name for each in parameters if each.kind in named]


def calls(name, parameters):
    """Arguments for a method, the same in each run."""
    chance = random.Random(name)
    yield (), {}
    for value in POOL:
        yield (value,), {}
    for _ in range(30):
        yield tuple(chance.choices(POOL, k=chance.choice((2, 2, 3, 4)))), {}
    for keywords in NAMED:
        for arguments in ((), (1,), (CORO,), (int,)):
            yield arguments, keywords
    for count in range(len(parameters)):
        for some in (parameters[: count + 1], parameters[count:]):
            yield (), {parameter: SENSIBLE.get(parameter) for parameter in some}


def is_expected(subject, name, arguments):
    return any(
        re.fullmatch(where, subject) and re.fullmatch(pattern, name) and begins_with(arguments, these)
        for where, pattern, these, _ in EXPECTED
    )


def begins_with(arguments, these):
    """Whether the first arguments are these; ``...`` stands for any."""
    same = (
        known is ... or repr(known) == repr(given) for known, given in zip(these, arguments, strict=False)
    )
    return len(arguments) >= len(these) and all(same)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_wrong_call_raises_what_asyncio_raises(subject):
    differences = []
    for name, parameters in members(subject):
        for arguments, keywords in calls(name, parameters):
            expected = THEIRS.outcome(subject, name, arguments, keywords)
            seen = OURS.outcome(subject, name, arguments, keywords)
            if expected != seen and not is_expected(subject, name, arguments):
                differences.append(f"{name}{arguments} {keywords}\n  asyncio {expected}\n  aioxide {seen}")
    shown = "\n".join(differences[:30])
    assert not differences, f"{len(differences)} calls differ:\n{shown}"
