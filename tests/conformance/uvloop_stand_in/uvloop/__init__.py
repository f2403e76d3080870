"""Stands in for uvloop while uvloop's tests run: its names, the loop under test behind them.

A real package on the path rather than an entry in ``sys.modules``, because the tests start child
processes that import uvloop. Only ``uvloop._testbase`` comes from uvloop's source.
"""

from __future__ import annotations

import os

import subject

__all__ = ("EventLoopPolicy", "Loop", "install", "new_event_loop", "run")

#: Where the unpacked source lies.
SOURCE = "AIOXIDE_UVLOOP_SOURCE"

__path__.append(os.path.join(os.environ[SOURCE], "uvloop"))

_loops = subject.chosen()
EventLoopPolicy = _loops.policy_class
Loop = _loops.loop_class
install = _loops.install
new_event_loop = _loops.new_event_loop
run = _loops.run
