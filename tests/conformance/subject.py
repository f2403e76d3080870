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
from typing import Any

__all__ = ("NAMES", "VARIABLE", "Subject", "chosen", "load")

#: The subjects, the default first.
NAMES = ("aioxide", "asyncio")

#: Names the subject for processes that have no command line of their own (pytest).
VARIABLE = "AIOXIDE_CONFORMANCE_SUBJECT"


@dataclass(frozen=True)
class Subject:
    """What a suite needs to know of the loop that it runs on."""

    name: str
    loop_class: type[asyncio.AbstractEventLoop]
    task_class: type[Any]
    future_class: type[Any]
    new_event_loop: Callable[[], asyncio.AbstractEventLoop]
    run: Callable[..., Any]
    #: Replaces asyncio's public names for the rest of the process.
    install: Callable[[], object]
    #: What `uvicorn --loop` and other programs are given.
    factory_path: str


def chosen() -> Subject:
    """Return the subject that the environment names."""
    return load(os.environ.get(VARIABLE) or NAMES[0])


def load(name: str) -> Subject:
    """Return the subject called ``name``.

    Raises ValueError for an unknown name and ImportError when aioxide is not built.
    """
    if name == "aioxide":
        return _aioxide()
    if name == "asyncio":
        return _asyncio()
    raise ValueError(f"unknown subject {name!r}: one of {', '.join(NAMES)}")


def _aioxide() -> Subject:
    # By name, because the type checker that reads this folder may have no built extension.
    aioxide = importlib.import_module("aioxide")
    return Subject(
        name="aioxide",
        loop_class=aioxide.EventLoop,
        task_class=aioxide.Task,
        future_class=aioxide.Future,
        new_event_loop=aioxide.new_event_loop,
        run=aioxide.run,
        install=aioxide.install,
        factory_path="aioxide:new_event_loop",
    )


def _asyncio() -> Subject:
    return Subject(
        name="asyncio",
        loop_class=asyncio.SelectorEventLoop,
        task_class=asyncio.Task,
        future_class=asyncio.Future,
        new_event_loop=asyncio.new_event_loop,
        run=asyncio.run,
        install=lambda: None,
        factory_path="asyncio:new_event_loop",
    )
