"""Set up what a developer needs: ``python tools/env.py list | setup | build | path``.

``setup`` makes the virtual environments, ``build`` also compiles the extension into the package,
``path`` prints the interpreter of the newest environment (or of ``--py``) after building it.
The Makefile calls this file; so do the other tools, through ``ready()``.
"""

from __future__ import annotations

import argparse
import os
import sys

import distribution
import environments
import extension
import interpreters
from environments import Environment
from interpreters import Interpreter

__all__ = ("found", "ready", "tools")


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("action", choices=("list", "setup", "build", "path"))
    parser.add_argument("--py", default=None, help="only this version, for example 3.13")
    parser.add_argument("--profile", default="release", choices=extension.PROFILES)
    parser.add_argument("--groups", default="test", help="requirement files, comma separated")
    options = parser.parse_args()
    groups = tuple(group for group in options.groups.split(",") if group)
    only = options.py or None

    if options.action == "list":
        for interpreter in found(only):
            suite = "" if interpreter.has_suite else "  (no test.test_asyncio)"
            print(f"{interpreter.version}  {interpreter.full_version}  {interpreter.path}{suite}")
    elif options.action == "setup":
        if distribution.complete(found(only)):
            interpreters.find.cache_clear()
        tools()
        for interpreter in found(only):
            environments.ensure(interpreter, *groups)
    elif options.action == "build":
        for interpreter in found(only):
            ready(interpreter, *groups, profile=options.profile)
    else:
        # Only the path may reach the standard output, because a Makefile reads it; pip and maturin
        # write to the file descriptor, so that is what has to be turned away.
        with os.fdopen(os.dup(1), "w") as report:
            os.dup2(2, 1)
            environment = ready(found(only)[-1], *groups, profile=options.profile)
            print(environment.python, file=report)


def ready(interpreter: Interpreter, *groups: str, profile: str = "release") -> Environment:
    """Return the interpreter's environment with requirements and a fresh extension in it."""
    environment = environments.ensure(interpreter, *groups)
    extension.build(environment, tools(), profile=profile)
    return environment


def tools() -> Environment:
    """Return the environment that holds maturin and ruff."""
    return environments.ensure_tools(found()[-1])


def found(only: str | None = None) -> list[Interpreter]:
    """Return the interpreters to work with, oldest first; stops the program when there is none."""
    result = interpreters.find(only)
    if not result:
        wanted = f"CPython {only}" if only else f"CPython {', '.join(interpreters.SUPPORTED)}"
        sys.exit(
            f"no interpreter found ({wanted}): install one with pyenv or the system's packages, "
            "or name it in AIOXIDE_PYTHONS"
        )
    return result


if __name__ == "__main__":
    main()
