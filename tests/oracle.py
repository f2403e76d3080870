"""Random programs of tasks, and what happens in them: played on asyncio's loop and on ours, to be compared.

A program is data: lists of operations, each a tuple. ``Program(seed)`` makes one, ``play(program, face)`` runs it in
virtual time on a ``Face`` and returns its trace: when each operation of each task began, and how it ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import selectors
import sys
from dataclasses import dataclass, field
from typing import Any

import aioxide
from aioxide.testing import VirtualClock

#: How many of each thing a program shares between its tasks.
SHARED = 2


class Boom(Exception):
    """What the programs raise."""


@dataclass
class Program:
    """A random program: the same for the same seed and version of Python."""

    seed: int
    main: list[Any] = field(init=False)
    eager: bool = field(init=False)
    groups: bool = field(init=False)
    """Whether it has groups. They cancel their children in an order of their own: tasks share nothing then."""

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.groups = self.chance.random() < 0.25
        self.eager = sys.version_info >= (3, 12) and self.chance.random() < 0.2
        self.main = self.body(0) + self.body(0)

    def body(self, depth: int) -> list[Any]:
        """Some operations, with bodies of their own down to a depth of three."""
        return [self.operation(depth) for _ in range(self.chance.randint(1, 4))]

    def operation(self, depth: int) -> tuple[Any, ...]:
        names = [*PLAIN]
        if depth < 3:
            names += NESTING
            names += GROUPS if self.groups else []
        if not self.groups:
            names += SHARING
        name = self.chance.choice(names)
        return name, self.arguments(name, depth)

    def delay(self, nothing: float = 0.4) -> float:
        """Seconds: nothing, or a number that no other delay has, since timers of one time have no order."""
        return 0 if self.chance.random() < nothing else round(self.chance.uniform(0.001, 2), 6)

    def arguments(self, name: str, depth: int) -> Any:
        """What an operation needs beside its name."""
        chance = self.chance
        index = chance.randrange(100)
        if name in ("sleep", "call_later"):
            return self.delay()
        if name in NESTING + GROUPS:
            bodies = [self.body(depth + 1) for _ in range(1 if name in SINGLE else chance.randint(0, 3))]
            if name == "as_completed":
                bodies = [[("sleep", self.delay(0)), *body] for body in bodies]
            return bodies, self.delay() or None, chance.random() < 0.5, self.delay()
        if name in HOLDING:
            return index, self.delay()
        if name == "wait":
            some = [chance.randrange(100) for _ in range(chance.randint(1, 3))]
            return some, self.delay() or None, chance.choice(WHEN)
        return index


PLAIN = ["sleep", "sleep", "raise", "call_later", "self_cancel"]
NESTING = ["spawn", "spawn", "spawn", "gather", "wait_for", "timeout", "try", "try", "shield", "as_completed"]
GROUPS = ["group", "group", "group"]
SINGLE = ["spawn", "wait_for", "timeout", "try", "shield"]
SHARING = [
    *("cancel", "cancel", "await", "shield_task", "wait", "callback", "uncancel"),
    *("future_await", "future_result", "future_exception", "future_cancel"),
    *("put", "put", "get", "get", "put_nowait", "get_nowait", "join", "shutdown"),
    *(
        "lock",
        "lock",
        "semaphore",
        "bounded",
        "release",
        "event_wait",
        "event_wait",
        "event_set",
        "event_set",
        "event_clear",
    ),
    *(
        "condition_wait",
        "condition_notify",
        "condition_notify_all",
        "barrier",
        "barrier",
        "barrier",
        "barrier_reset",
    ),
]
HOLDING = ["lock", "semaphore", "bounded"]
WHEN = ["FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"]


class Face:
    """asyncio's names, and a loop in virtual time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.api: Any = asyncio if name == "asyncio" else aioxide

    def run(self, main: Any, eager: bool) -> Any:
        factory = OracleLoop if self.name == "asyncio" else VirtualClock().new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            if eager:
                runner.get_loop().set_task_factory(self.api.eager_task_factory)
            return runner.run(main)


class OracleLoop(asyncio.SelectorEventLoop):
    """asyncio's loop in virtual time: a wait for a timer moves the clock."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(Jumping(self))

    def time(self) -> float:
        return self.now


class Jumping(selectors.DefaultSelector):
    """A selector that waits for no timer."""

    def __init__(self, loop: Any) -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "nothing can run any more"
        if timeout > 0:
            self.loop.now = max(self.loop.now, self.loop._scheduled[0]._when)
        return super().select(0)


def play(program: Program, face: Face) -> list[Any]:
    """Run ``program`` and return its trace."""
    player = Player(program, face.api)
    with contextlib.suppress(Boom, asyncio.CancelledError):
        face.run(player.whole(), program.eager)
    trace = player.trace
    if program.groups:
        # What happens at one moment has no order.
        trace = sorted(trace, key=repr)
    return trace + sorted(player.complaints)


def text_of(value: Any) -> Any:
    """Describe what came of an operation, without addresses."""
    if isinstance(value, BaseExceptionGroup):
        return type(value).__name__, value.message, sorted((text_of(e) for e in value.exceptions), key=repr)
    if isinstance(value, BaseException):
        cause = value.__cause__
        return (type(value).__name__, value.args) + ((text_of(cause),) if cause is not None else ())
    if isinstance(value, list):
        return [text_of(item) for item in value]
    if isinstance(value, asyncio.Future):
        return value.get_name() if isinstance(value, asyncio.Task) else "future"
    return value


class Player:
    """Plays the operations and writes down what comes of them."""

    def __init__(self, program: Program, api: Any) -> None:
        self.program, self.api = program, api
        self.trace: list[Any] = []
        self.complaints: list[str] = []
        self.made = 0
        self.numbered: dict[int, Any] = {}

    def log(self, *what: Any) -> None:
        self.trace.append((round(self.loop.time(), 6), *what))

    async def whole(self) -> None:
        """The main task: plays, waits a while, then cancels what is left until all is done."""
        api = self.api
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda loop, context: self.complaints.append(context["message"]))
        self.futures = [self.loop.create_future() for _ in range(SHARED)]
        self.queues = [api.Queue(1), api.PriorityQueue(), api.LifoQueue(2)]
        self.locks = [api.Lock() for _ in range(SHARED)]
        self.semaphore, self.bounded = api.Semaphore(2), api.BoundedSemaphore(1)
        self.event, self.condition, self.barrier = api.Event(), api.Condition(), api.Barrier(2)
        self.spawn("main", self.program.main)
        await api.sleep(50)
        for _ in range(20):
            left = [task for task in self.tasks if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel("the end")
            await api.sleep(5)
        self.log("left", [task.get_name() for task in self.tasks if not task.done()])
        for task in self.tasks:
            if task.done():
                self.log(
                    "result of",
                    task.get_name(),
                    task.cancelled() or text_of(task.exception() or task.result()),
                )
        self.log("state", self.state())
        self.numbered.clear()
        gc.collect()

    def state(self) -> Any:
        """What the shared things look like in the end."""
        return (
            [queue.qsize() for queue in self.queues],
            [lock.locked() for lock in self.locks],
            (self.semaphore.locked(), self.bounded.locked(), self.event.is_set(), self.condition.locked()),
            (self.barrier.n_waiting, self.barrier.broken),
            [future.done() for future in self.futures],
        )

    def spawn(self, parent: str, body: list[Any], create: Any = None) -> Any:
        """Make a task that plays ``body``."""
        number = self.made
        self.made += 1
        name = f"{parent}.{number}"
        # An eager one runs before it is there.
        self.numbered[number] = task = (create or self.api.create_task)(self.body(name, body), name=name)
        return task

    @property
    def tasks(self) -> list[Any]:
        """All tasks that were made, in order."""
        return [task for _, task in sorted(self.numbered.items())]

    async def body(self, name: str, body: list[Any]) -> str:
        for operation, arguments in body:
            await self.operation(name, operation, arguments)
        return f"the result of {name}"

    async def operation(self, name: str, operation: str, arguments: Any) -> None:
        self.log(name, operation)
        try:
            result = await getattr(self, f"op_{operation}")(name, arguments)
        except BaseException as error:
            self.log(name, operation, "raises", text_of(error))
            raise
        self.log(name, operation, "ends", text_of(result))

    def task(self, index: int) -> Any:
        """One of the tasks there are."""
        tasks = self.tasks
        return tasks[index % len(tasks)] if tasks else self.api.current_task()

    def later(self, name: str, index: int) -> Any:
        """A task that was made after the one of this name: so that no task awaits itself, by whatever detour."""
        own = int(name.rpartition(".")[2].partition("/")[0])
        later = [task for number, task in sorted(self.numbered.items()) if number > own]
        return later[index % len(later)] if later else None

    # Operations of one task.

    async def op_sleep(self, name, delay):
        return await self.api.sleep(delay, name)

    async def op_raise(self, name, index):
        raise Boom(index)

    async def op_call_later(self, name, delay):
        self.loop.call_later(delay, self.log, name, "later")
        self.loop.call_soon(self.log, name, "soon")

    async def op_self_cancel(self, name, index):
        return self.api.current_task().cancel(f"by itself {index}"), self.api.current_task().cancelling()

    # Operations that play bodies.

    async def op_spawn(self, name, arguments):
        (body,), *_ = arguments
        return self.spawn(name, body)

    async def op_gather(self, name, arguments):
        bodies, _, collect, number = arguments
        parts = [
            self.body(f"{name}/{n}", body) if n % 2 else self.spawn(name, body)
            for n, body in enumerate(bodies)
        ]
        if not self.program.groups and number > 1:
            # Twice the same.
            parts += parts[:1]
        return await self.api.gather(*parts, return_exceptions=collect)

    async def op_wait_for(self, name, arguments):
        (body,), delay, as_task, _ = arguments
        return await self.api.wait_for(
            self.spawn(name, body) if as_task else self.body(f"{name}/w", body), delay
        )

    async def op_timeout(self, name, arguments):
        (body,), delay, reschedule, other = arguments
        try:
            async with self.api.timeout(delay) as timeout:
                if reschedule:
                    timeout.reschedule(self.loop.time() + other)
                await self.body(name, body)
        finally:
            self.log(name, "expired", timeout.expired())

    async def op_try(self, name, arguments):
        (body,), _, swallow, number = arguments
        index = int(number * 1000)
        try:
            await self.body(name, body)
        except Boom as error:
            if index % 3 == 0:
                raise Boom("another") from error
        except asyncio.CancelledError:
            if not swallow:
                raise
            return self.api.current_task().uncancel() if index % 2 else "swallowed"
        finally:
            if index % 4 == 0:
                await self.api.sleep(0)

    async def op_shield(self, name, arguments):
        (body,), *_ = arguments
        return await self.api.shield(self.spawn(name, body))

    async def op_as_completed(self, name, arguments):
        bodies, delay, asynchronous, _ = arguments
        results = []
        children = [self.spawn(name, body) for body in bodies]
        iterator = self.api.as_completed(children, timeout=delay)
        if asynchronous and sys.version_info >= (3, 13):
            async for child in iterator:
                results.append(await child)
        else:
            for child in iterator:
                results.append(await child)
        return results

    async def op_group(self, name, arguments):
        bodies, _, fails, delay = arguments
        async with self.api.TaskGroup() as group:
            for body in bodies:
                self.spawn(name, body, group.create_task)
            if fails:
                await self.op_sleep(name, delay)
                raise Boom("of the block")

    # Operations on other tasks and on what tasks share.

    async def op_cancel(self, name, index):
        return self.task(index).cancel(*([f"by {name}"] if index % 2 else []))

    async def op_uncancel(self, name, index):
        return self.task(index).uncancel(), self.task(index).cancelling()

    async def op_await(self, name, index):
        if task := self.later(name, index):
            return await task

    async def op_shield_task(self, name, index):
        if task := self.later(name, index):
            return await self.api.shield(task)

    async def op_wait(self, name, arguments):
        some, delay, when = arguments
        chosen = [self.task(index) for index in some]
        done, pending = await self.api.wait(chosen, timeout=delay, return_when=getattr(self.api, when))
        return sorted(task.get_name() for task in done), sorted(task.get_name() for task in pending)

    async def op_callback(self, name, index):
        self.task(index).add_done_callback(lambda task: self.log(name, "called back by", text_of(task)))

    async def op_future_await(self, name, index):
        return await self.futures[index % SHARED]

    async def op_future_result(self, name, index):
        self.futures[index % SHARED].set_result(index)

    async def op_future_exception(self, name, index):
        self.futures[index % SHARED].set_exception(Boom(index))

    async def op_future_cancel(self, name, index):
        cancelled = self.futures[index % SHARED].cancel()
        self.futures[index % SHARED] = self.loop.create_future()
        return cancelled

    def queue(self, index: int) -> Any:
        return self.queues[index % len(self.queues)]

    async def op_put(self, name, index):
        await self.queue(index).put(index)

    async def op_get(self, name, index):
        return await self.queue(index).get()

    async def op_put_nowait(self, name, index):
        self.queue(index).put_nowait(index)

    async def op_get_nowait(self, name, index):
        item = self.queue(index).get_nowait()
        self.queue(index).task_done()
        return item

    async def op_join(self, name, index):
        await self.queue(index).join()

    async def op_shutdown(self, name, index):
        if sys.version_info >= (3, 13) and index % 4 == 0:
            self.queue(index).shutdown(immediate=index % 8 == 0)

    async def op_lock(self, name, arguments):
        index, delay = arguments
        async with self.locks[index % SHARED]:
            return await self.api.sleep(delay, name)

    async def op_semaphore(self, name, arguments):
        async with self.semaphore:
            return await self.api.sleep(arguments[1], name)

    async def op_bounded(self, name, arguments):
        async with self.bounded:
            return await self.api.sleep(arguments[1], name)

    async def op_release(self, name, index):
        (self.semaphore, self.bounded, self.locks[0])[index % 3].release()

    async def op_event_wait(self, name, index):
        return await self.event.wait()

    async def op_event_set(self, name, index):
        self.event.set()

    async def op_event_clear(self, name, index):
        self.event.clear()

    async def op_condition_wait(self, name, index):
        async with self.condition:
            if index % 3:
                return await self.condition.wait()
            return await self.condition.wait_for(lambda: index % 2 or self.event.is_set())

    async def op_condition_notify(self, name, index):
        async with self.condition:
            self.condition.notify(1 + index % 2)

    async def op_condition_notify_all(self, name, index):
        async with self.condition:
            self.condition.notify_all()

    async def op_barrier(self, name, index):
        return await self.barrier.wait()

    async def op_barrier_reset(self, name, index):
        if index % 5 == 0:
            await (self.barrier.abort() if index % 2 else self.barrier.reset())
