"""The event loop under test: aioxide, or asyncio itself as the baseline.

Every runner of this folder takes its loop from here, so that the same machinery answers two
questions: "does aioxide behave?" and "does this test pass on plain asyncio on this machine?".
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

__all__ = ("NAMES", "VARIABLE", "Subject", "chosen", "load")

#: The subjects, the default first.
NAMES = ("aioxide", "asyncio")

#: Names the subject for processes that have no command line of their own.
VARIABLE = "AIOXIDE_CONFORMANCE_SUBJECT"


@dataclass(frozen=True)
class Subject:
    """What a suite needs to know of the loop that it runs on."""

    name: str
    #: Where the names are looked up: aioxide offers asyncio's.
    module: ModuleType
    loop_class: type[Any]
    policy_class: type[Any]
    task_class: type[Any]
    future_class: type[Any]
    new_event_loop: Callable[[], asyncio.AbstractEventLoop]
    run: Callable[..., Any]
    #: Replaces asyncio's public names for the rest of the process.
    install: Callable[[], object]

    @property
    def factory_path(self) -> str:
        """The loop factory as programs are told of it: ``uvicorn --loop``."""
        return f"{self.name}:new_event_loop"


def chosen() -> Subject:
    """Return the subject that the environment names."""
    return load(os.environ.get(VARIABLE) or NAMES[0])


def load(name: str) -> Subject:
    """Return the subject called ``name``.

    Raises ValueError for an unknown name and ImportError when aioxide is not built.
    """
    if name not in NAMES:
        raise ValueError(f"unknown subject {name!r}: one of {', '.join(NAMES)}")
    # By name, because a type checker may read this folder where the extension is not built.
    module = importlib.import_module(name)
    return Subject(
        name=name,
        module=module,
        loop_class=module.EventLoop if name == "aioxide" else module.SelectorEventLoop,
        policy_class=(module.EventLoopPolicy if name == "aioxide" else module.DefaultEventLoopPolicy),
        task_class=module.Task,
        future_class=module.Future,
        new_event_loop=module.new_event_loop,
        run=module.run,
        install=module.install if name == "aioxide" else _already_there,
    )


def _already_there() -> None:
    """Install asyncio into asyncio."""
