"""``make lint``: every check runs, also after one has failed. ``--fix`` formats instead.

Types are checked as the oldest and as the newest supported version see them: what the standard
library offers differs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import env
import environments
import extension
import interpreters
from environments import Environment
from project import ROOT

__all__ = ("checks", "fixes")

Command = list[str | Path]


def main() -> int:
    """Run the checks; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--py", help="the version whose environment is used (the newest)")
    parser.add_argument("--fix", action="store_true", help="format instead of complaining")
    options = parser.parse_args()
    extension.require_cargo()
    tools = env.tools()
    if options.fix:
        statuses = [run("fix", command, {}) for command in fixes(tools)]
        return 1 if any(statuses) else 0

    environment = environments.ensure(env.found(options.py or None)[-1], "test")
    # pyo3 looks at an interpreter when clippy checks the extension.
    variables = {"PYO3_PYTHON": str(environment.python)}
    results = {name: run(name, command, variables) for name, command in checks(tools, environment)}
    failed = [name for name, status in results.items() if status != 0]
    print(f"lint: {', '.join(failed)} failed" if failed else f"lint: {len(results)} checks passed")
    return 1 if failed else 0


def checks(tools: Environment, environment: Environment) -> Iterator[tuple[str, Command]]:
    """Yield what is checked: its name and its command."""
    ruff = tools.program("ruff")
    yield "rustfmt", ["cargo", "fmt", "--all", "--check"]
    yield "tidy", ["cargo", "run", "--quiet", "--package", "xtask", "--", "tidy"]
    yield "ruff check", [ruff, "check", "--quiet"]
    yield "ruff format", [ruff, "format", "--check", "--quiet"]
    for version in (interpreters.SUPPORTED[0], interpreters.SUPPORTED[-1]):
        command: Command = [environment.python, "-m", "mypy", "--python-version", version]
        yield f"types {version}", command
    clippy: Command = ["cargo", "clippy", "--quiet", "--workspace", "--all-targets"]
    yield "clippy", [*clippy, "--", "-D", "warnings"]


def fixes(tools: Environment) -> Iterator[Command]:
    """Yield what puts the form in order by itself."""
    ruff = tools.program("ruff")
    yield ["cargo", "fmt", "--all"]
    yield [ruff, "check", "--fix", "--quiet"]
    yield [ruff, "format", "--quiet"]


def run(name: str, command: Command, variables: dict[str, str]) -> int:
    """Run one command in the root of the work tree; return its exit status."""
    started = time.monotonic()
    print(f"== {name}", flush=True)
    status = subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=False).returncode
    print(f"   {'FAILED' if status else 'ok'} ({time.monotonic() - started:.1f} s)", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
