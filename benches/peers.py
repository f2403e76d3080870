"""The loops that are compared: how each is loaded, named and proved to be the one that runs.

Imported by the processes under test only; ``run.py`` knows the names and asks a child for the rest.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import platform
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

__all__ = ("PEERS", "Loaded", "load")

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@dataclass(frozen=True)
class Loaded:
    """A peer that is ready to run in this process."""

    name: str
    version: str
    new_event_loop: LoopFactory
    module: str
    debug: bool = False
    """asyncio's debug mode."""
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    """What is entered while the loop runs."""

    def check(self, loop: asyncio.AbstractEventLoop) -> None:
        """Raises unless ``loop`` is this peer's: a silent fall-back would compare a loop with itself."""
        module = type(loop).__module__
        if module.partition(".")[0] != self.module:
            raise RuntimeError(f"{self.name}: the loop is a {module}.{type(loop).__qualname__}")


def load(name: str) -> Loaded:
    """Imports the peer, raising ImportError where it is not installed."""
    return PEERS[name]()


def load_asyncio() -> Loaded:
    return Loaded("asyncio", platform.python_version(), asyncio.SelectorEventLoop, "asyncio")


def load_uvloop() -> Loaded:
    import uvloop

    return Loaded("uvloop", importlib.metadata.version("uvloop"), uvloop.new_event_loop, "uvloop")


def load_rloop() -> Loaded:
    import rloop

    return Loaded("rloop", importlib.metadata.version("rloop"), rloop.new_event_loop, "rloop")


def load_aiofastnet() -> Loaded:
    """Its transports on uvloop's loop."""
    import aiofastnet
    import uvloop

    def new_event_loop() -> asyncio.AbstractEventLoop:
        return aiofastnet.patch_loop(uvloop.new_event_loop())

    version = f"{importlib.metadata.version('aiofastnet')} on uvloop"
    return Loaded("aiofastnet", version, new_event_loop, "uvloop")


def load_aioxide_installed() -> Loaded:
    """``install()``: the loop is reached as a program would, through ``asyncio`` itself."""
    import aioxide

    aioxide.install()
    return Loaded("aioxide", aioxide_version(), asyncio.new_event_loop, "aioxide")


def load_aioxide_factory() -> Loaded:
    """``loop_factory=``: our loop and its tasks, but asyncio's own module functions."""
    import aioxide

    return Loaded("aioxide-factory", aioxide_version(), aioxide.new_event_loop, "aioxide")


def load_aioxide_strict() -> Loaded:
    """Strict mode. Spinning is what many workloads do, so it is no error here; it is looked for all the same."""
    from aioxide.strict import Strict, enforced

    limits = Strict(blocking=60, spinning=1e18)
    return replace(load_aioxide_installed(), name="aioxide-strict", around=partial(enforced, limits))


def load_aioxide_debug() -> Loaded:
    """asyncio's debug mode on our loop."""
    return replace(load_aioxide_installed(), name="aioxide-debug", debug=True)


def load_asyncio_debug() -> Loaded:
    """asyncio's debug mode."""
    return replace(load_asyncio(), name="asyncio-debug", debug=True)


def aioxide_version() -> str:
    try:
        return importlib.metadata.version("aioxide")
    except importlib.metadata.PackageNotFoundError:
        # An ImportError, which would read as "not installed" here: the package is on the path only.
        return "from the source tree"


PEERS: dict[str, Callable[[], Loaded]] = {
    "asyncio": load_asyncio,
    "uvloop": load_uvloop,
    "rloop": load_rloop,
    "aiofastnet": load_aiofastnet,
    "aioxide": load_aioxide_installed,
    "aioxide-factory": load_aioxide_factory,
    "aioxide-strict": load_aioxide_strict,
    "aioxide-debug": load_aioxide_debug,
    "asyncio-debug": load_asyncio_debug,
}
