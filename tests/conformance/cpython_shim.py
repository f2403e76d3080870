"""Redirects CPython's ``test.test_asyncio`` to the loop under test.

Three things are replaced, all before the test modules are imported:

- where loops come from: ``asyncio.SelectorEventLoop`` and its other names, the default policy;
- the accelerated classes ``tasks._CTask`` and ``futures._CFuture``, which the "C" variants of the
  test classes bind, so that these variants test our Task and Future;
- by ``install()``, asyncio's public names.

``test_utils.TestLoop`` stays: it is a pure-Python loop with a clock of its own, and our Task and
Future must work on foreign loops too.
"""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.events
import asyncio.futures
import asyncio.sslproto
import asyncio.tasks
import asyncio.unix_events
import types
from typing import Any

from subject import Subject

__all__ = ("adjust", "prepare")


def prepare(loops: Subject, module: str) -> str:
    """Redirect asyncio to ``loops``; return the import name of ``module``."""
    from test import support

    # As regrtest does without `-u`: nothing that leaves the machine or fills the disk.
    support.use_resources = {"cpu": None, "subprocess": None, "walltime": None}
    if loops.name != "asyncio":
        loops.install()
        _redirect_loops(_accepting_selector(loops.loop_class))
        asyncio.tasks._CTask = loops.task_class  # type: ignore[attr-defined]
        asyncio.futures._CFuture = loops.future_class  # type: ignore[attr-defined]
        _check(loops)
    return f"test.test_asyncio.{module}"


def adjust(loops: Subject, tests: Any) -> None:
    """Redirect the base classes that some modules instantiate as if they were loops."""
    if loops.name == "asyncio":
        return
    loop_class = _accepting_selector(loops.loop_class)
    match tests.__name__.rpartition(".")[2]:
        case "test_base_events":
            tests.base_events = _View(asyncio.base_events, BaseEventLoop=loop_class)
        case "test_pep492" | "test_runners":
            tests.asyncio = _View(asyncio, BaseEventLoop=loop_class)
        case "test_sslproto":
            # Its unit tests make a protocol themselves, and put a mock in the place of its SSLObject.
            tests.sslproto = _View(asyncio.sslproto, SSLProtocol=loops.module.sslproto.SSLProtocol)


def _redirect_loops(loop_class: type[Any]) -> None:
    asyncio.SelectorEventLoop = loop_class
    asyncio.unix_events.SelectorEventLoop = loop_class
    if hasattr(asyncio, "EventLoop"):
        asyncio.EventLoop = loop_class
        asyncio.unix_events.EventLoop = loop_class  # type: ignore[attr-defined]
    # Where policies are deprecated, the public name warns.
    unix_events: Any = asyncio.unix_events
    policy = getattr(unix_events, "_DefaultEventLoopPolicy", None) or unix_events.DefaultEventLoopPolicy
    policy._loop_factory = loop_class


def _check(loops: Subject) -> None:
    """Make sure that the tests cannot run on asyncio's own classes without anybody noticing."""

    async def main() -> type[Any] | None:
        task = asyncio.current_task()
        return None if task is None else type(task)

    with asyncio.Runner() as runner:
        made: list[Any] = [type(runner.get_loop()), runner.run(main()), asyncio.Task, asyncio.Future]
    wanted = [loops.loop_class, loops.task_class, loops.task_class, loops.future_class]
    for found, expected in zip(made, wanted, strict=True):
        if not (found is expected or expected in found.__mro__):
            raise RuntimeError(f"not redirected: {found} where {expected} should be")


def _accepting_selector(loop_class: type[Any]) -> type[Any]:
    """Return a loop class whose constructor takes a selector, as ``SelectorEventLoop`` does."""

    class SelectorEventLoop(loop_class):  # type: ignore[misc]
        def __init__(self, selector: Any = None) -> None:
            super().__init__()
            if selector is not None:
                # There is one poller, ours. The tests hand the selector over, so it is ours to close.
                selector.close()

    return SelectorEventLoop


class _View(types.ModuleType):
    """A module with some names replaced; assignments reach the real one, for ``mock.patch``."""

    def __init__(self, module: types.ModuleType, **replaced: Any) -> None:
        super().__init__(module.__name__)
        self.__dict__["_module"] = module
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_module"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__dict__["_module"], name, value)
