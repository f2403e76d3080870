"""Strict mode: what asyncio's documentation advises against is an error.

=======================  ================================================================================
finding                  when
=======================  ================================================================================
``NeverAwaited``         a coroutine died without having been awaited; says where it was made
``UnreadException``      a task failed while nobody waited for it; reported at once
``BlockingCall``         a callback or a task step kept the loop from running; with its stack, while it does
``SpinningTask``         a task was stepped thousands of times and never waited for anything
``IgnoredCancellation``  a task goes on running after it was cancelled at the end of the program
=======================  ================================================================================

Each finding is logged when it is found, by the logger ``aioxide.strict``; when the program ends, all of them are
raised as one ``StrictModeError``. A task that failed and whose exception was read later is no finding any more.

Strict mode is about a process, since what a coroutine's end is reported to is the interpreter's: the loops of all
threads are observed while it is on.
"""

from __future__ import annotations

import asyncio
import asyncio.runners
import collections
import contextlib
import dataclasses
import gc
import itertools
import logging
import sys
import threading
import traceback
import warnings
from typing import TYPE_CHECKING, Any

from . import loops, watchdog
from ._aioxide import Task, live_tasks
from .stacks import await_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .events import EventLoop
    from .watchdog import BlockedReport, Watch

__all__ = (
    "BlockingCall",
    "Finding",
    "IgnoredCancellation",
    "NeverAwaited",
    "SpinningTask",
    "Strict",
    "StrictModeError",
    "UnreadException",
    "enforced",
)

log = logging.getLogger("aioxide.strict")


class Finding(RuntimeError):
    """Something that strict mode does not allow. Its text says what, who and where."""


class NeverAwaited(Finding):
    """A coroutine was made and never awaited: what it should have done was not done."""


class UnreadException(Finding):
    """A task failed while nobody waited for it. ``__cause__`` is its exception."""


class BlockingCall(Finding):
    """A callback or a task step kept the loop from running anything else."""


class SpinningTask(Finding):
    """A task lets others run again and again, but never waits for anything."""


class IgnoredCancellation(Finding):
    """A task was cancelled at the end of the program and went on running."""


class StrictModeError(ExceptionGroup[Finding]):
    """What strict mode has found, when the program has ended: a group of ``Finding``."""

    def derive(self, excs: Any) -> Any:
        """Make a group of some of the findings; see ``ExceptionGroup.derive``."""
        return StrictModeError(self.message, excs)


@dataclasses.dataclass(frozen=True, slots=True)
class Strict:
    """How strict: ``run(main(), strict=Strict(blocking=0.05))``.

    ``math.inf`` switches a limit off.
    """

    #: Seconds that a callback may take.
    blocking: float = 0.1
    #: Steps that a task may take in a row without waiting for anything.
    spinning: int = 20_000
    #: Seconds that a task may take to end when it is cancelled at the end of the program.
    cancellation: float = 1.0


@contextlib.contextmanager
def enforced(limits: Strict | None = None) -> Iterator[Observer]:
    """Observe all loops until the ``with`` block ends; then raise what was found, unless it raised by itself.

    # Errors

    ``StrictModeError`` at the end; ``RuntimeError`` if strict mode is on already.
    """
    observer = Observer(limits or Strict())
    observer.start()
    try:
        yield observer
    except BaseException:
        observer.stop()
        raise
    observer.stop()
    if found := observer.findings():
        raise StrictModeError("strict mode", found)


class Observer:
    """Watches the process for findings, between ``start()`` and ``stop()``."""

    def __init__(self, limits: Strict) -> None:
        self._limits = limits
        # Appended to from several threads: one step of the interpreter.
        self._found: collections.deque[tuple[Finding, asyncio.Task[Any] | None]] = collections.deque(
            maxlen=KEPT
        )
        self._watch: Watch | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._originals: list[tuple[Any, str, Any, Any]] = []
        self._origin_depth = 0

    def start(self) -> None:
        """Begin to observe."""
        global _active
        if _active is not None:
            raise RuntimeError("strict mode is on already")
        _active = self
        limits = self._limits
        # Where a coroutine was made is remembered by the interpreter, per thread.
        self._origin_depth = sys.get_coroutine_origin_tracking_depth()
        sys.set_coroutine_origin_tracking_depth(max(ORIGIN_DEPTH, self._origin_depth))
        self._replace(warnings, "_warn_unawaited_coroutine", self._never_awaited)
        self._replace(asyncio.runners, "_cancel_all_tasks", self._cancel_all_tasks)
        loops.listeners.append(self.attach)
        for reference in loops.references():
            if (loop := reference()) is not None:
                self.attach(loop)
        if limits.blocking != float("inf"):
            self._watch = watchdog.watch(limits.blocking, callback=self._blocked, logger=_silent)
        if limits.spinning != float("inf"):
            self._thread = threading.Thread(
                target=self._look_for_spinning, name="aioxide-strict", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """End observing. What died unseen is collected first: coroutines in cycles."""
        global _active
        gc.collect()
        self._stopping.set()
        if self._watch is not None:
            self._watch.stop()
        if self._thread is not None:
            self._thread.join(timeout=1.0)
        for place, name, original, ours in reversed(self._originals):
            if getattr(place, name) is ours:
                setattr(place, name, original)
        sys.set_coroutine_origin_tracking_depth(self._origin_depth)
        loops.listeners.remove(self.attach)
        for reference in loops.references():
            if (loop := reference()) is not None and loop._observer == self._failed:
                loop._observer = None
        _active = None

    def attach(self, loop: EventLoop) -> None:
        """Observe a loop. Each that is made while strict mode is on is observed from its beginning."""
        loop._observer = self._failed

    def findings(self) -> list[Finding]:
        """Return what was found so far, but not exceptions of tasks that somebody has read since."""
        found = []
        for finding, task in self._found:
            if task is None:
                found.append(finding)
            elif task._log_traceback:
                # It is reported here; its end shall not report it again.
                task._log_traceback = False
                found.append(finding)
        return found

    def _add(self, finding: Finding, task: asyncio.Task[Any] | None = None) -> None:
        self._found.append((finding, task))
        log.error("%s: %s", type(finding).__name__, finding, exc_info=finding.__cause__)

    def _replace(self, place: Any, name: str, ours: Callable[..., Any]) -> None:
        self._originals.append((place, name, getattr(place, name), ours))
        setattr(place, name, ours)

    def _never_awaited(self, coroutine: Any) -> None:
        origin = getattr(coroutine, "cr_origin", None)
        name = getattr(coroutine, "__qualname__", repr(coroutine))
        text = f"coroutine '{name}' was never awaited"
        if origin is not None:
            # The innermost caller comes first there, and last in a traceback; the loop's own are left out.
            calls = list(itertools.takewhile(lambda call: call[2] not in _LOOP_FUNCTIONS, origin))
            lines: Any = [(file, line, function, None) for file, line, function in reversed(calls)]
            text += f"; it was made here:\n{''.join(traceback.format_list(lines)).rstrip()}"
        self._add(NeverAwaited(text))

    def _failed(self, task: Task[Any], exception: BaseException) -> None:
        finding = UnreadException(f"task {task.get_name()!r} failed while nobody waited for it")
        finding.__cause__ = exception
        self._add(finding, task)

    def _blocked(self, report: BlockedReport) -> None:
        self._add(BlockingCall(str(report).rstrip()))

    def _look_for_spinning(self) -> None:
        #: Steps and waits of each task when it last waited for something, as far as was seen.
        seen: dict[int, tuple[int, int]] = {}
        named: set[int] = set()
        while not self._stopping.wait(INTERVAL):
            tasks: list[Any] = live_tasks()
            now = {id(task): (task._steps, task._waits) for task in tasks}
            for task in tasks:
                steps, waits = now[id(task)]
                before = seen.get(id(task))
                if before is None or before[1] != waits:
                    seen[id(task)] = (steps, waits)
                elif steps - before[0] >= self._limits.spinning and id(task) not in named:
                    named.add(id(task))
                    self._add(SpinningTask(_describe_spinning(task, steps - before[0])))
            for gone in seen.keys() - now.keys():
                del seen[gone]
                named.discard(gone)
            del tasks

    def _cancel_all_tasks(self, loop: asyncio.AbstractEventLoop) -> None:
        stubborn = asyncio.all_tasks(loop)
        handle = loop.call_later(self._limits.cancellation, self._name_stubborn, stubborn)
        del stubborn
        try:
            self._original("_cancel_all_tasks")(loop)
        finally:
            handle.cancel()

    def _name_stubborn(self, tasks: set[asyncio.Task[Any]]) -> None:
        for task in sorted(tasks, key=lambda task: task.get_name()):
            if not task.done():
                limit = self._limits.cancellation
                text = f"task {task.get_name()!r} was cancelled {limit:g} s ago and goes on{_place_of(task)}"
                self._add(IgnoredCancellation(text))

    def _original(self, name: str) -> Any:
        return next(original for _, known, original, _ in self._originals if known == name)


def _describe_spinning(task: Task[Any], steps: int) -> str:
    return f"task {task.get_name()!r} was stepped {steps} times and waited for nothing{_place_of(task)}"


def _place_of(task: asyncio.Task[Any]) -> str:
    stack = traceback.StackSummary.extract((frame, frame.f_lineno) for frame in await_stack(task))
    return f", here:\n{''.join(stack.format()).rstrip()}" if stack else ""


#: Findings that are kept for the error at the end; older ones are only logged.
KEPT = 100
#: Callers of a coroutine function that are remembered.
ORIGIN_DEPTH = 8
#: Seconds between two looks at the tasks' counters.
INTERVAL = 0.1

#: The watchdog's report becomes a finding, which is logged.
_silent = logging.getLogger("aioxide.strict.watch")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False

#: Who calls a task's step or a callback.
_LOOP_FUNCTIONS = frozenset(("_run_once", "run_forever"))

_active: Observer | None = None
