"""The tour in Rust: builds the crate's examples and runs them all, in the order of the Python tour; and the tests
that need a database.

``rust_examples.py --list`` prints the names. Most of them wait for most of the time, so several run at once.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from project import ROOT

__all__ = ("names",)

CRATE = ROOT / "crates" / "aioxide"
#: Lessons whose name in Python has the library in it.
RENAMED = {"http_aiohttp": "http", "files_aiofiles": "files", "mysql_aiomysql": "mysql"}
#: Those that measure: they run alone.
MEASURING = ("blocking_call", "process_pool", "coroutines_threads_processes")
AT_ONCE = 6
#: Seconds.
PATIENCE = 120


def main() -> int:
    """Run the examples; return the exit status."""
    found = names()
    if "--list" in sys.argv:
        print("\n".join(found))
        return 0
    subprocess.run(["cargo", "build", "--quiet", "-p", "aioxide", "--examples"], cwd=ROOT, check=True)
    folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "examples"
    with mysql() as environment, ThreadPoolExecutor(AT_ONCE) as pool:
        together = [name for name in found if name not in MEASURING]
        passed = list(pool.map(lambda name: play(folder / name, environment), together))
        passed += [play(folder / name, environment) for name in found if name in MEASURING]
        passed.append(test_databases(environment))
    print(f"{sum(passed)} passed, {len(passed) - sum(passed)} failed")
    return 0 if all(passed) else 1


def names() -> list[str]:
    """Return the names of the lessons, in the order of the Python tour; every one exists in both languages."""
    tour = [path.stem.partition("_")[2] for path in sorted((ROOT / "examples").glob("[0-9]*_*.py"))]
    wanted = [RENAMED.get(name, name) for name in tour]
    there = {path.stem for path in (CRATE / "examples").glob("*.rs")}
    if set(wanted) != there:
        raise SystemExit(f"not in both tours: {', '.join(sorted(set(wanted) ^ there))}")
    return wanted


def play(program: Path, environment: dict[str, str]) -> bool:
    """Run one; return whether it did what it shows."""
    started = time.monotonic()
    try:
        completed = subprocess.run(
            [program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
            env=os.environ | environment,
        )
        output, status = completed.stdout, completed.returncode
    except subprocess.TimeoutExpired as late:
        output, status = str(late), 1
    mark = "ok    " if status == 0 else "FAILED"
    print(f"{mark} {program.name} ({time.monotonic() - started:.1f} s)\n{output}", end="", flush=True)
    return status == 0


def lesson_module() -> Any:
    """Load ``examples/mariadb.py``: these tools have a module of that name, too."""
    spec = importlib.util.spec_from_file_location("lesson_mariadb", ROOT / "examples" / "mariadb.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_databases(environment: dict[str, str]) -> bool:
    """Run the tests of sqlx; without a database they pass over it."""
    command = ["cargo", "test", "--quiet", "-p", "aioxide", "--test", "databases"]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=False).returncode == 0


@contextlib.contextmanager
def mysql() -> Iterator[dict[str, str]]:
    """Start a database where one can be had, and say in environment variables where it is."""
    mariadb = lesson_module()
    try:
        with mariadb.server() as server:
            named = {
                "HOST": server.host,
                "PORT": str(server.port),
                "USER": server.user,
                "PASSWORD": server.password,
                "DB": server.database,
            }
            yield {f"AIOXIDE_MYSQL_{name}": value for name, value in named.items()}
    except mariadb.Unavailable as reason:
        print(f"no database for the lesson on MySQL: {reason}")
        yield {}


if __name__ == "__main__":
    sys.exit(main())
