"""Workloads of the bridge: Rust futures awaited from Python, ours beside pyo3-async-runtimes.

On our loop the functions are those of ``examples/extension``; on the others the same ones over
pyo3-async-runtimes, whose tokio runtime has threads of its own.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
from itertools import repeat
from pathlib import Path
from typing import Any

from measure import Measurement, expect, run_on
from peers import Loaded

__all__ = ("BRIDGE", "FOLDER", "build")

#: The environment variable that tells a worker where the extensions are.
FOLDER = "AIOXIDE_BENCH_BRIDGE"

HERE = Path(__file__).resolve().parent
#: How often a future gives way.
TURNS = 10


def build(python: Path) -> Path:
    """Compiles both extensions for an interpreter; raises OSError or CalledProcessError."""
    if shutil.which("cargo") is None:
        raise FileNotFoundError("cargo is not installed")
    tag = subprocess.check_output(
        [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], text=True
    )
    target = HERE.parent / "target" / f"bridge-{tag.strip()}"
    environment = {**os.environ, "PYO3_PYTHON": str(python.absolute()), "CARGO_TARGET_DIR": str(target)}
    for folder in (HERE / "bridge", HERE.parent / "examples" / "extension"):
        command = ["cargo", "build", "--quiet", "--release", "--locked"]
        subprocess.run(command, check=True, cwd=folder, env=environment, stdout=sys.stderr)
    return target / "release"


def functions(peer: Loaded) -> Any:
    """Imports the extension that goes with the peer's loop."""
    name = "rusty" if peer.module == "aioxide" else "bridge_peer"
    path = str(Path(os.environ[FOLDER]) / f"lib{name}.so")
    loader = importlib.machinery.ExtensionFileLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def noop(peer: Loaded, size: int) -> Measurement:
    """Awaits a Rust future that is ready at once."""
    function = functions(peer).noop

    async def workload(size: int) -> int:
        for _ in repeat(None, size):
            await function()
        return size

    return run_on(peer, workload, size)


def turns(peer: Loaded, size: int) -> Measurement:
    """Awaits a Rust future that gives way; one operation is one turn."""
    function = functions(peer).yield_often

    async def workload(size: int) -> int:
        for _ in repeat(None, size):
            expect(await function(TURNS), TURNS, "turns")
        return size * TURNS

    return run_on(peer, workload, size)


BRIDGE = {"bridge_noop": (noop, 1000), "bridge_turn": (turns, 100)}
