"""One sample in a process of its own: ``worker.py describe PEER`` or ``worker.py sample PEER WORKLOAD``.

Prints one line of JSON. Exits with 3 where the peer is not installed, so that its absence is a notice
and not an error.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import sysconfig
from functools import partial

import peers
from bridge import BRIDGE
from measure import Measurement, repeat
from memory import MEMORY
from processes import PROCESSES
from scheduling import SCHEDULING
from timers import PROBES, TIMERS, poll_delay

NOT_INSTALLED = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("describe", "sample"))
    parser.add_argument("peer", choices=tuple(peers.PEERS))
    parser.add_argument("workload", nargs="?")
    parser.add_argument("--minimum", type=float, default=0.3, help="seconds of one sample, at least")
    options = parser.parse_args()
    try:
        peer = peers.load(options.peer)
    except ImportError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return NOT_INSTALLED
    if options.action == "describe":
        print(json.dumps({"version": peer.version, "python": interpreter()}))
        return 0
    measured = sample(peer, options.workload, options.minimum)
    metrics = {
        "time": measured.seconds / measured.operations * 1e9,
        "cpu": measured.cpu / measured.operations * 1e9,
        **measured.metrics,
    }
    busy = measured.cpu / measured.seconds
    print(json.dumps({"metrics": metrics, "operations": measured.operations, "busy": busy}), flush=True)
    if options.workload in BRIDGE:
        # Threads of pyo3-async-runtimes may abort an interpreter that ends; the number is out by now.
        os._exit(0)
    return 0


def interpreter() -> str:
    """Version and build: without PGO every loop is slower, and the interpreter's share is larger."""
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS"))
    optimized = "--enable-optimizations" in arguments
    flag = "with" if optimized else "without"
    return f"{platform.python_version()}, {platform.python_compiler()}, {flag} --enable-optimizations"


def sample(peer: peers.Loaded, workload: str, minimum: float) -> Measurement:
    if workload in MEMORY:
        # Once, in a fresh process: memory that an earlier run gave back would be found again for nothing.
        return MEMORY[workload](peer)
    if workload == "poll_delay":
        return poll_delay(peer, PROBES)
    function, start = (SCHEDULING | TIMERS | BRIDGE | PROCESSES)[workload]
    return repeat(partial(function, peer), start, minimum)


if __name__ == "__main__":
    sys.exit(main())
