"""Makes ``import aioxide as asyncio`` complete: whatever aioxide does not define is asyncio's.

What asyncio exports is imported by the package like any other name, so looking it up costs nothing more.
This module is about the rest: submodules (``asyncio.streams``), names that asyncio does not export, and our
modules that are named like one of asyncio's.
"""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._aioxide import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

__all__ = ["complete", "continue_with", "create_eager_task_factory", "eager_task_factory"]

if sys.version_info >= (3, 12):
    create_eager_task_factory = asyncio.create_eager_task_factory
else:

    def create_eager_task_factory(custom_task_constructor: Callable[..., Any]) -> Callable[..., Any]:
        """Make a task factory whose tasks begin at once. Source: CPython 3.12."""

        def factory(loop: Any, coro: Any, *, name: str | None = None, context: Any = None) -> Any:
            return custom_task_constructor(coro, loop=loop, name=name, context=context, eager_start=True)

        return factory


eager_task_factory = create_eager_task_factory(Task)


def complete(names: Iterable[str]) -> list[str]:
    """Return ``names`` and all of asyncio's public names, each once."""
    return sorted({*names, *_public(asyncio)})


def continue_with(package: str, original: ModuleType) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a ``__getattr__`` and a ``__dir__`` for the module ``package``, which go on in ``original``."""

    def __getattr__(name: str) -> Any:
        # Not what the import system or a tool asks every module about itself: __path__, __wrapped__.
        if not (name.startswith("__") and name.endswith("__")):
            try:
                return getattr(original, name)
            except AttributeError:
                pass
        raise AttributeError(
            f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package]
        )

    def __dir__() -> list[str]:
        ours = sys.modules[package].__dict__
        return sorted({*ours, *(name for name in dir(original) if not name.startswith("__"))})

    return __getattr__, __dir__


def _public(module: ModuleType) -> set[str]:
    """Return what ``module`` exports, and what it forgot to: 3.11 leaves TaskGroup out."""
    return {*module.__all__, *(name for name, value in vars(module).items() if _is_class(name, value))}


def _is_class(name: str, value: object) -> bool:
    return isinstance(value, type) and not name.startswith("_")


def _continue_namesakes() -> None:
    for name in _NAMESAKES:
        module = import_module(f"{__package__}.{name}")
        original = import_module(f"asyncio.{name}")
        attributes: Any = module
        attributes.__getattr__, attributes.__dir__ = continue_with(module.__name__, original)


#: Our modules that hide one of asyncio's: ``aioxide.events.AbstractEventLoop`` must be found all the same.
_NAMESAKES = ("events", "locks", "queues", "runners", "sslproto", "streams", "taskgroups", "transports")

_continue_namesakes()
