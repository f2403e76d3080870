"""Runs a coroutine to completion on an aioxide loop: ``run()`` and ``Runner``.

Counterpart: ``Lib/asyncio/runners.py``, whose Runner does the work: signals, cleaning up, debug mode.

Differs from asyncio: ``run()`` takes a ``loop_factory`` on every version, and without one the loop is ours,
whatever policy is set.
"""

from __future__ import annotations

import asyncio
from asyncio import events
from typing import TYPE_CHECKING, Any, TypeVar

from .events import new_event_loop
from .strict import Strict, enforced

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ("Runner", "run")

_T = TypeVar("_T")


class Runner(asyncio.Runner):  # type: ignore[misc]  # Final for type checkers only.
    """asyncio's Runner, whose loop is ours unless ``loop_factory`` makes another.

    # Cancellation

    Ctrl-C cancels the main task; ``run()`` raises KeyboardInterrupt when that has ended. ``close()`` cancels
    what still runs and waits for it.
    """

    # Set by asyncio's Runner.
    _loop: asyncio.AbstractEventLoop
    _set_event_loop: bool

    def __init__(
        self,
        *,
        debug: bool | None = None,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        self._chooses_loop = loop_factory is None
        if loop_factory is None:
            loop_factory = new_event_loop
        super().__init__(debug=debug, loop_factory=loop_factory)

    def _lazy_init(self) -> None:
        super()._lazy_init()  # type: ignore[misc]
        # asyncio makes a loop that it chose itself the thread's current one, until close(). So do we: a program
        # must not see who chose it.
        if self._chooses_loop and not self._set_event_loop:
            events.set_event_loop(self._loop)
            self._set_event_loop = True


def run(
    main: Coroutine[Any, Any, _T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    strict: bool | Strict = False,
) -> _T:
    """Run ``main`` on a new aioxide loop, close the loop, and return the result.

    The main entry point of a program; it cannot be called while a loop runs in the same thread. Tasks that are
    left over are cancelled, asynchronous generators finalized and the default executor shut down.

    ``strict=True``, or a ``Strict`` with limits of your own, makes an error of what is bad practice: a coroutine
    that nobody awaits, an exception that nobody reads, a call that blocks the loop; see ``aioxide.strict``.

    # Cancellation

    Ctrl-C cancels ``main``, and KeyboardInterrupt is raised when it has ended.
    """
    if events._get_running_loop() is not None:
        # Before a Runner is made, for a short traceback.
        raise RuntimeError("asyncio.run() cannot be called from a running event loop")
    if strict:
        with enforced(strict if isinstance(strict, Strict) else None):
            return run(main, debug=debug, loop_factory=loop_factory)
    with Runner(debug=debug, loop_factory=loop_factory) as runner:
        return runner.run(main)
