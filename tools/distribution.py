"""Complete the interpreters that come from Debian, which packages venv and the tests apart."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from interpreters import Interpreter

__all__ = ("complete",)


def complete(found: Sequence[Interpreter]) -> bool:
    """Install what is missing, where we may; return whether anything was installed."""
    missing = [package for interpreter in found for package in packages(interpreter)]
    if not missing:
        return False
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print(f"missing, and not ours to install here: {' '.join(command)}", flush=True)
        return False
    print(f"installing {' '.join(missing)}", flush=True)
    subprocess.run(["apt-get", "update", "--quiet"], check=False)
    finished = subprocess.run(command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, check=False)
    return finished.returncode == 0


def packages(interpreter: Interpreter) -> list[str]:
    """Return the Debian packages that an interpreter lacks."""
    if not interpreter.is_distribution:
        return []
    names = []
    if not interpreter.has_venv:
        names.append(f"python{interpreter.version}-venv")
    if not interpreter.has_suite:
        names.append(f"libpython{interpreter.version}-testsuite")
    return names
