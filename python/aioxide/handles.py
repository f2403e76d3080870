"""The cold half of handles: telling what went wrong in a callback."""

from __future__ import annotations

import asyncio.base_events
from asyncio import format_helpers
from typing import Any

from ._aioxide import Task

__all__ = ("report_exception", "report_slow", "report_step")


def report_exception(handle: Any, exception: BaseException) -> None:
    """Tell the loop's exception handler what a callback raised."""
    loop = handle._loop
    # A callback that cancelled its own handle is no longer known.
    where = format_helpers._format_callback_source(handle._callback, handle._args or ())
    context = {"message": f"Exception in callback {where}", "exception": exception, "handle": handle}
    if handle._source_traceback:
        context["source_traceback"] = handle._source_traceback
    loop.call_exception_handler(context)


def report_step(loop: Any, task: Any, exception: BaseException) -> None:
    """Tell the loop's exception handler what made a step of a task impossible."""
    loop.call_exception_handler(
        {"message": f"Exception in callback step of {task!r}", "exception": exception, "task": task}
    )


def report_slow(handle: Any, seconds: float) -> None:
    """Debug mode: log a callback or a step that took long."""
    if isinstance(handle, Task):
        name = repr(handle)
    else:
        name = asyncio.base_events._format_handle(handle)  # type: ignore[attr-defined]
    asyncio.base_events.logger.warning("Executing %s took %.3f seconds", name, seconds)  # type: ignore[attr-defined]
