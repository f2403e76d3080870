"""Find the CPython interpreters that aioxide is built for and tested on.

Looked at, in this order: ``AIOXIDE_PYTHONS`` (paths, separated by ``:`` or ``,``; nothing else is
looked at then), ``python3.X`` on the search path, pyenv's versions, the system's own folders, what ``make
pythons`` brought. Each
candidate is run before it counts: a pyenv shim may exist for a version that is switched off.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from project import FORKY

__all__ = ("SUPPORTED", "Interpreter", "find")

SUPPORTED = ("3.11", "3.12", "3.13", "3.14", "3.15")

#: Run by the candidate. ``_base_executable`` leads out of a virtual environment.
PROBE = """
import importlib.util, json, sys, sysconfig
def importable(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
print(json.dumps({
    "version": "%d.%d" % sys.version_info[:2],
    "full_version": sys.version.split()[0],
    "path": getattr(sys, "_base_executable", None) or sys.executable,
    "implementation": sys.implementation.name,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "has_suite": importable("test.test_asyncio"),
    "has_venv": importable("venv") and importable("ensurepip"),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """One interpreter that has been run."""

    version: str
    """Major and minor, as in ``3.13``."""
    full_version: str
    path: Path
    has_suite: bool
    """Whether CPython's own ``test.test_asyncio`` is installed with it."""
    has_venv: bool
    """Whether ``python -m venv`` can work (Debian packages it apart)."""

    @property
    def is_distribution(self) -> bool:
        """Whether the system's package manager owns it."""
        return self.path.parent == Path("/usr/bin")

    @property
    def sort_key(self) -> tuple[int, ...]:
        """Orders 3.9 before 3.11."""
        return tuple(int(part) for part in self.version.split("."))


@functools.cache
def find(only: str | None = None) -> list[Interpreter]:
    """Return one interpreter for each supported version that was found, oldest first.

    The answer is kept: each candidate has to be run. ``find.cache_clear()`` looks again.
    """
    chosen: dict[str, Interpreter] = {}
    seen: set[Path] = set()
    for candidate in candidates():
        interpreter = probe(candidate)
        if interpreter is None or interpreter.path in seen:
            continue
        seen.add(interpreter.path)
        known = chosen.get(interpreter.version)
        # The first one wins, unless a later one is better equipped: without the test suite the
        # conformance part cannot run.
        if known is None or equipment(interpreter) > equipment(known):
            chosen[interpreter.version] = interpreter
    found = sorted(chosen.values(), key=lambda interpreter: interpreter.sort_key)
    return [interpreter for interpreter in found if only in (None, interpreter.version)]


def equipment(interpreter: Interpreter) -> tuple[bool, bool]:
    """Rank interpreters of one version."""
    return interpreter.has_venv, interpreter.has_suite


def candidates() -> Iterator[Path]:
    """Yield paths that may be interpreters, best first."""
    override = os.environ.get("AIOXIDE_PYTHONS")
    if override:
        for entry in re.split(r"[:,]", override):
            if entry.strip():
                path = shutil.which(entry.strip())
                if path is None:
                    sys.exit(f"AIOXIDE_PYTHONS names {entry.strip()!r}, which cannot be run")
                yield Path(path)
        return
    for version in SUPPORTED:
        if on_path := shutil.which(f"python{version}"):
            yield Path(on_path)
    versions = pyenv_versions()
    for version in SUPPORTED:
        for folder in sorted(versions.glob(f"{version}.*"), reverse=True) if versions else ():
            yield folder / "bin" / "python"
    for folder in (Path("/usr/local/bin"), Path("/usr/bin"), FORKY / "root" / "usr" / "bin"):
        for version in SUPPORTED:
            yield folder / f"python{version}"


def pyenv_versions() -> Path | None:
    """Return the folder where pyenv keeps its interpreters."""
    if shutil.which("pyenv") is None:
        return None
    answer = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False)
    return Path(answer.stdout.strip()) / "versions" if answer.returncode == 0 else None


def probe(path: Path) -> Interpreter | None:
    """Run ``path`` and describe it; ``None`` when it is not an interpreter we support."""
    if not path.exists():
        return None
    try:
        answer = subprocess.run(
            [path, "-I", "-c", PROBE], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode != 0:
        return None
    facts = json.loads(answer.stdout)
    if facts["implementation"] != "cpython" or facts["version"] not in SUPPORTED:
        return None
    # The module declares that it needs the GIL; free-threaded builds are not tested yet.
    if facts["free_threaded"]:
        return None
    return Interpreter(
        version=facts["version"],
        full_version=facts["full_version"],
        path=Path(facts["path"]),
        has_suite=facts["has_suite"],
        has_venv=facts["has_venv"],
    )
