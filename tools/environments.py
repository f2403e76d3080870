"""Make the virtual environments: ``.venv/tools`` and one ``.venv/3.X`` for each interpreter.

What is in an environment is named by the requirement files installed into it; a stamp holds their
hash, so that a second call costs nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from interpreters import Interpreter
from project import ROOT, VENVS, shown

__all__ = ("Environment", "ensure", "ensure_suites", "ensure_tools", "locked")


@dataclass(frozen=True)
class Environment:
    """A virtual environment and the interpreter it was made from."""

    folder: Path
    interpreter: Interpreter

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / "bin" / "python"

    def program(self, name: str) -> Path:
        """Return the path of a program installed into the environment."""
        return self.folder / "bin" / name


def ensure(interpreter: Interpreter, *groups: str) -> Environment:
    """Return ``.venv/3.X`` with the requirements of ``groups`` installed."""
    return prepared(Environment(VENVS / interpreter.version, interpreter), groups)


def ensure_tools(interpreter: Interpreter) -> Environment:
    """Return ``.venv/tools``, which builds the extension for every interpreter."""
    return prepared(Environment(VENVS / "tools", interpreter), ("tools",))


def ensure_suites(interpreter: Interpreter) -> Environment:
    """Return ``.venv/suites-3.X``: the programs whose own tests are run, apart from what our tests need."""
    environment = prepared(Environment(VENVS / f"suites-{interpreter.version}", interpreter), ("suites",))
    # aioxide as it lies in the work tree, built already.
    packages = environment.folder / "lib" / f"python{interpreter.version}" / "site-packages"
    (packages / "aioxide-tree.pth").write_text(f"{ROOT / 'python'}\n")
    return environment


def prepared(environment: Environment, groups: tuple[str, ...]) -> Environment:
    """Create what is missing of ``environment``."""
    with locked(environment.folder.name):
        create(environment)
        for group in groups:
            install(environment, group)
    return environment


def create(environment: Environment) -> None:
    """Make the environment, or make it anew when its interpreter has changed or gone."""
    made_from = environment.folder / ".made-from"
    origin = f"{environment.interpreter.path} {environment.interpreter.full_version}"
    if environment.python.exists() and made_from.exists() and made_from.read_text() == origin:
        return
    if not environment.interpreter.has_venv:
        sys.exit(
            f"{environment.interpreter.path} has no venv module; on Debian and Ubuntu install "
            f"python{environment.interpreter.version}-venv"
        )
    print(f"making {shown(environment.folder)} from {environment.interpreter.path}", flush=True)
    shutil.rmtree(environment.folder, ignore_errors=True)
    subprocess.run([environment.interpreter.path, "-m", "venv", environment.folder], check=True)
    made_from.write_text(origin)


def install(environment: Environment, group: str) -> None:
    """Install one requirement file, unless exactly this one is installed already."""
    requirements = ROOT / "tools" / f"requirements-{group}.txt"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp = environment.folder / f".installed-{group}"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"installing {shown(requirements)} into {shown(environment.folder)}", flush=True)
    subprocess.run(
        [environment.python, "-m", "pip", "install", "--quiet", "-r", requirements],
        check=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    stamp.write_text(wanted)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock called ``name``: two ``make`` in one work tree must not trample each other."""
    VENVS.mkdir(exist_ok=True)
    with open(VENVS / f".{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
