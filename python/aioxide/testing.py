"""Tests that take no time: ``VirtualClock`` and the loop it drives.

::

    clock = VirtualClock()
    clock.run(main())            # an hour of sleep() takes microseconds
    assert clock.now() == 3600

When every task waits, the clock jumps to the next timer. When there is none, nothing can ever run again: that is
a ``Deadlock``, and the error says what each task waits for. Callbacks run in the order they were scheduled and
timers in the order of their times, so a program that talks to nobody runs in the same order each time.

What only real time brings (threads, sockets, processes) is waited for in real time:

====================================  ==================================================================
work in an executor, a name look-up   the clock stands still until it is done
watched descriptors                   given ``grace`` seconds of real time before each jump
no timer, but descriptors, threads    given ``patience`` seconds of real time before it is a deadlock
or signal handlers
====================================  ==================================================================

Only the loop's clock is virtual: ``time.monotonic()`` and ``time.sleep()`` are not.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from . import runners
from .events import EventLoop
from .stacks import await_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ("Deadlock", "VirtualClock", "VirtualLoop")

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class Deadlock(RuntimeError):
    """Nothing can ever run again: every task waits for another, and no timer is set."""


class VirtualClock:
    """A clock that jumps to the next timer when there is nothing to do.

    ``start`` is its first time, in seconds. ``grace`` and ``patience`` are seconds of real time, see the head of
    the module; ``patience=math.inf`` waits forever. One clock drives one loop at a time.
    """

    def __init__(self, start: float = 0.0, *, grace: float = 0.0, patience: float = 5.0) -> None:
        if not math.isfinite(start):
            raise ValueError(f"start must be a finite number of seconds, not {start!r}")
        if not grace >= 0 or not patience >= 0:
            raise ValueError(f"grace ({grace!r}) and patience ({patience!r}) must not be negative")
        self._now = float(start)
        self._grace = grace
        self._patience = patience

    def __repr__(self) -> str:
        return f"<VirtualClock {self._now!r}>"

    def now(self) -> float:
        """Return the time in seconds: what ``loop.time()`` returns."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward, as if that much time had gone by; timers that are due fire at the next turn."""
        if not seconds >= 0:
            raise ValueError(f"a clock cannot go back: advance({seconds!r})")
        self._now += seconds

    def new_event_loop(self) -> VirtualLoop:
        """Make a loop on this clock: a ``loop_factory``."""
        return VirtualLoop(self)

    def run(self, main: Coroutine[Any, Any, _T], *, debug: bool | None = None) -> _T:
        """Run ``main`` to its end on a new loop on this clock, and return its result: ``aioxide.run()``.

        # Errors

        ``Deadlock`` if nothing can run any more.
        """
        return runners.run(main, debug=debug, loop_factory=self.new_event_loop)


class VirtualLoop(EventLoop):
    """An aioxide loop whose time is a ``VirtualClock``'s."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        #: Calls in executors that have not come back.
        self._calls = 0
        #: How many callbacks had run when the loop last waited in real time.
        self._waited_after: int | None = None
        # Polls share no batch here: how long a batch takes is no matter of virtual time.
        super().__init__(strict_polling=True)
        self._idle = self._when_idle

    def time(self) -> float:
        """Return the clock's time."""
        return self._clock._now

    def run_in_executor(self, executor: Any, func: Callable[[*_Ts], _T], *args: *_Ts) -> asyncio.Future[_T]:
        """Call ``func`` in a pool, as any loop does; the clock stands still meanwhile."""
        future: asyncio.Future[_T] = super().run_in_executor(executor, func, *args)
        self._calls += 1
        future.add_done_callback(self._call_ended)
        return future

    async def shutdown_default_executor(self, timeout: float | None = 300) -> None:
        """Shut the default executor down, however long its threads take in real time."""
        self._calls += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._calls -= 1

    def _call_ended(self, _future: object) -> None:
        self._calls -= 1

    def _when_idle(self, when: float | None) -> float | None:
        """Say what to do when nothing is ready: None if the clock was moved, else real seconds to wait."""
        if self._calls or (self._resolver is not None and self._resolver._busy):
            return math.inf
        clock = self._clock
        if when is not None:
            if clock._grace and self._watches() and self._waits_first():
                return clock._grace
            clock._now = max(clock._now, when)
            return None
        if self._may_be_woken() and self._waits_first():
            return clock._patience
        raise Deadlock(_describe_deadlock(self))

    def _waits_first(self) -> bool:
        """Whether the loop has not waited yet since it last ran something."""
        steps = self._probe()[0]
        waits = self._waited_after != steps
        self._waited_after = steps if waits else None
        return waits

    def _watches(self) -> bool:
        internal = -1 if self._ssock is None else self._ssock.fileno()
        return any(fd != internal for fd in self._watched_fds())

    def _may_be_woken(self) -> bool:
        """Whether something outside of the loop could still schedule a callback."""
        if self._watches() or self._signal_handlers:
            return True
        pool: Any = getattr(self, "_default_executor", None)
        idle = {*getattr(pool, "_threads", ()), threading.current_thread()}
        return any(
            thread not in idle and not thread.name.startswith("aioxide-") for thread in threading.enumerate()
        )


def _describe_deadlock(loop: EventLoop) -> str:
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: (len(task.get_name()), task.get_name()))
    if not tasks:
        return "nothing can run any more: there is no task, no timer and no callback"
    lines = ["nothing can run any more: there is no timer, and each task waits for another"]
    lines += [f"  {task.get_name()} {_describe_wait(task)}" for task in tasks]
    return "\n".join(lines)


def _describe_wait(task: asyncio.Task[Any]) -> str:
    places = [
        f"{frame.f_code.co_qualname} ({os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno})"
        for frame in await_stack(task)
    ]
    waiter: object = getattr(task, "_fut_waiter", None)
    if isinstance(waiter, asyncio.Task):
        reason = f"waits for {waiter.get_name()}"
    else:
        reason = "is ready" if waiter is None else f"waits for a {type(waiter).__name__}"
    return f"{reason} in {' > '.join(places)}" if places else reason
