"""``watch()``: tells which task blocks an event loop, while it still does.

A thread looks at every loop's probe a few times per threshold. Two looks that find the same callback running
are the beginning of an incident; one that is older than the threshold is reported, once, with the stack of the
loop's thread at that moment.

A call that keeps the GIL keeps this thread from looking, too. It shows in a look that comes late while the loop's
thread has used that time; such an incident counts from where the look should have been.

States of an incident: ``seen → reported → over``, or ``seen → over`` when it was short.
Invariant: between two looks the thread owns no loop, except one that is in an incident that was reported.
"""

from __future__ import annotations

import asyncio.base_events
import asyncio.runners
import asyncio.tasks
import dataclasses
import logging
import math
import numbers
import os
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

from . import events, loops

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable
    from types import FrameType, TracebackType

__all__ = ("BlockedReport", "Watch", "watch")

log = logging.getLogger("aioxide.watch")


@dataclasses.dataclass(frozen=True, slots=True)
class BlockedReport:
    """What was found when a loop was blocked for longer than the threshold."""

    #: The task that blocks the loop; None when it is a plain callback.
    task: asyncio.Task[Any] | None
    task_name: str | None
    #: Seconds so far; in the report for ``on_end``, of the whole incident.
    duration: float
    #: The stack as text, as in a traceback: the coroutine first, the blocking call last.
    stack: str
    frames: traceback.StackSummary
    loop: asyncio.AbstractEventLoop
    thread_id: int

    def __str__(self) -> str:
        return _MESSAGE % self._words()

    def _words(self) -> tuple[str, float, str]:
        culprit = "A callback" if self.task is None else f"Task {self.task_name!r}"
        stack = self.stack or "  (no Python code: a built-in function that the loop has called)\n"
        return culprit, self.duration, stack


def watch(
    threshold: float = 0.1,
    *,
    callback: Callable[[BlockedReport], object] | None = None,
    on_end: Callable[[BlockedReport], object] | None = None,
    logger: logging.Logger | logging.LoggerAdapter[Any] | None = None,
    interval: float | None = None,
) -> Watch:
    """Report every callback or task step that blocks an aioxide loop for ``threshold`` seconds or longer.

    All loops are watched, in all threads, also those made later, until ``stop()`` is called or the ``with``
    block ends. Each incident is reported once, while it lasts: a warning of the logger ``aioxide.watch`` (or of
    ``logger``), then a call of ``callback`` with a ``BlockedReport``. ``on_end`` is called with the whole
    duration when a reported incident is over. Both are called in the watching thread; what they raise is logged.

    ``interval`` is the time between two looks, a quarter of the threshold if not given (1 to 50 ms); a duration
    is known within one interval. In a child made by ``os.fork()`` nothing is watched until ``watch()`` is called there.
    """
    threshold = _seconds("threshold", threshold)
    interval = min(max(threshold / 4, 0.001), 0.05) if interval is None else _seconds("interval", interval)
    for name, function in (("callback", callback), ("on_end", on_end)):
        if function is not None and not callable(function):
            raise TypeError(f"{name} must be callable or None, not {type(function).__name__}")
    if logger is None:
        logger = log
    elif not isinstance(logger, logging.Logger | logging.LoggerAdapter):
        raise TypeError(f"logger must be a logging.Logger or None, not {type(logger).__name__}")
    return Watch(threshold, interval, callback, on_end, logger)


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    seconds = float(value)
    if not math.isfinite(seconds) or seconds <= 0:
        raise ValueError(f"{name} must be positive and finite, not {value!r}")
    return seconds


class Watch:
    """A thread that watches the loops. Made and started by ``watch()``."""

    def __init__(
        self,
        threshold: float,
        interval: float,
        callback: Callable[[BlockedReport], object] | None,
        on_end: Callable[[BlockedReport], object] | None,
        logger: logging.Logger | logging.LoggerAdapter[Any],
    ) -> None:
        self.threshold = threshold
        self.interval = interval
        self._callback = callback
        self._on_end = on_end
        self._logger = logger
        self._incidents: dict[weakref.ref[events.EventLoop], _Incident] = {}
        self._spent: dict[weakref.ref[events.EventLoop], _Spent] = {}
        self._pid = os.getpid()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aioxide-watch", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        state = "watching" if self.watching else "stopped"
        return f"<{type(self).__name__} {state} threshold={self.threshold}>"

    @property
    def watching(self) -> bool:
        """Whether incidents are still reported."""
        return os.getpid() == self._pid and self._thread.is_alive() and not self._stopping.is_set()

    def stop(self) -> None:
        """Stop watching, after the report that is being made, if one is."""
        # A fork may have copied the event's lock while it was taken; and there is no thread in a child.
        if os.getpid() != self._pid:
            return
        self._stopping.set()
        if threading.current_thread() is not self._thread:
            # Not for ever: a callback may itself be waiting for the thread that stops us.
            self._thread.join(timeout=1.0)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        asleep_since = time.monotonic()
        while not self._stopping.wait(self.interval):
            late = time.monotonic() - asleep_since - self.interval
            known = loops.references()
            for reference in known:
                # A callback may have stopped us. What was found before stop() is still reported.
                if not self._stopping.is_set():
                    self._look(reference, late)
            for gone in self._spent.keys() - known:
                self._spent.pop(gone)
                self._incidents.pop(gone, None)
            asleep_since = time.monotonic()

    def _look(self, reference: weakref.ref[events.EventLoop], late: float) -> None:
        now = time.monotonic()
        # No name for the loop: this thread should not be the last to own one.
        step, thread_id = _running(reference())
        spent, before = _Spent.of_thread(thread_id), self._spent.get(reference)
        self._spent[reference] = spent
        incident = self._incidents.get(reference)
        if incident is not None and incident.step != step:
            del self._incidents[reference]
            if incident.report is not None:
                self._tell(self._on_end, dataclasses.replace(incident.report, duration=now - incident.since))
            incident = None
        if step is None:
            return
        if incident is None:
            # Nobody else ran meanwhile, so it was this callback: it stops for us as soon as it can.
            kept_gil = before is not None and spent.since(before) > late / 2 > self.interval / 2
            incident = self._incidents[reference] = _Incident(step, since=now - late if kept_gil else now)
        if incident.report is None and now - incident.since >= self.threshold:
            incident.report = _describe(reference(), step, now - incident.since)
            if incident.report is not None:
                self._begin(incident.report)

    def _begin(self, report: BlockedReport) -> None:
        # Not the report itself: who collects records would keep the loop alive.
        self._logger.warning(_MESSAGE, *report._words())
        self._tell(self._callback, report)

    def _tell(self, function: Callable[[BlockedReport], object] | None, report: BlockedReport) -> None:
        if function is None:
            return
        try:
            function(report)
        except Exception:
            self._logger.exception("Error in %r, called for a blocked event loop", function)


@dataclasses.dataclass(slots=True)
class _Incident:
    """One callback that was found running."""

    step: int
    #: When it was first seen: it began at most one interval earlier.
    since: float
    report: BlockedReport | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class _Spent:
    """The processor time that a loop's thread has used."""

    thread_id: int | None
    seconds: float

    @classmethod
    def of_thread(cls, thread_id: int | None) -> _Spent:
        # The id is of a thread that runs a loop, and cannot end before it gets the GIL.
        if thread_id is None or not hasattr(time, "pthread_getcpuclockid"):
            return cls(None, 0.0)
        return cls(thread_id, time.clock_gettime(time.pthread_getcpuclockid(thread_id)))

    def since(self, before: _Spent) -> float:
        same = self.thread_id is not None and self.thread_id == before.thread_id
        return self.seconds - before.seconds if same else 0.0


def _running(loop: events.EventLoop | None) -> tuple[int | None, int | None]:
    """Return the number of the callback a loop is running, if it is, and the thread it runs in, if it does."""
    if loop is None:
        return None, None
    try:
        step, in_callbacks, thread_id = loop._probe()
    except RuntimeError:  # It is closed.
        return None, None
    return (step if in_callbacks else None), thread_id


def _describe(loop: events.EventLoop | None, step: int, duration: float) -> BlockedReport | None:
    """Make the report; None if the callback has ended meanwhile."""
    if loop is None:
        return None
    thread_id = _running(loop)[1]
    frame = sys._current_frames().get(thread_id) if thread_id is not None else None
    if frame is None or thread_id is None:
        return None
    task = asyncio.tasks.current_task(loop)
    # The lines first, the texts later: reading files lets the loop's thread go on.
    lines = list(traceback.walk_stack(frame))
    if _running(loop)[0] != step:
        return None
    lines.reverse()
    frames = traceback.StackSummary.extract(_of_program(lines))
    return BlockedReport(
        task=task,
        task_name=None if task is None else task.get_name(),
        duration=duration,
        stack="".join(frames.format()),
        frames=frames,
        loop=loop,
        thread_id=thread_id,
    )


def _of_program(lines: list[tuple[FrameType, int]]) -> list[tuple[FrameType, int]]:
    """Return the frames, outermost first, without those that only lead to the loop and its callback."""
    for index in range(len(lines) - 1, -1, -1):
        code = lines[index][0].f_code
        if code.co_filename in _LOOP_FILES and code.co_name in _LOOP_FUNCTIONS:
            return lines[index + 1 :]
    return lines


_MESSAGE = "%s has blocked the event loop for %.3f seconds:\n%s"

_LOOP_FILES = frozenset((asyncio.base_events.__file__, asyncio.runners.__file__, events.__file__))

_LOOP_FUNCTIONS = frozenset(("run_forever", "run_until_complete", "_run_once", "run"))
