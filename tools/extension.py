"""Build ``aioxide._aioxide`` into ``python/aioxide`` for one environment.

Every version has its own file name there and its own build folder (``target/py3.X``): pyo3 is
compiled for one interpreter, and sharing the folder would rebuild it at each switch.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from environments import Environment, locked
from project import BUILD_ROOT, ROOT

__all__ = ("PROFILES", "build")

PROFILES = ("release", "debug")

#: Variables that would lead maturin to another interpreter or another environment.
MISLEADING = ("CONDA_PREFIX", "PYO3_PYTHON", "PYTHONHOME", "PYTHONPATH")


def build(environment: Environment, tools: Environment, *, profile: str = "release") -> None:
    """Bring the extension up to date; does nothing when no source has changed."""
    version = environment.interpreter.version
    with locked(f"build-{version}"):
        stamp = environment.folder / ".built"
        wanted = f"{profile} {source_hash()}"
        if stamp.exists() and stamp.read_text() == wanted and installed(environment):
            return
        require_cargo()
        print(f"building aioxide for {version} ({profile})", flush=True)
        started = time.monotonic()
        stamp.unlink(missing_ok=True)
        compile_and_install(environment, tools, profile)
        stamp.write_text(wanted)
        print(f"built in {time.monotonic() - started:.0f} s", flush=True)


def compile_and_install(environment: Environment, tools: Environment, profile: str) -> None:
    """Run ``maturin develop`` in the environment."""
    command: list[str | Path] = [tools.program("maturin"), "develop"]
    if profile == "release":
        command.append("--release")
    variables = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    variables["VIRTUAL_ENV"] = str(environment.folder)
    variables["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    variables["CARGO_TARGET_DIR"] = str(BUILD_ROOT / f"py{environment.interpreter.version}")
    finished = subprocess.run(command, cwd=ROOT, env=variables, check=False)
    if finished.returncode != 0:
        sys.exit(f"the build for {environment.interpreter.version} failed")


def installed(environment: Environment) -> bool:
    """Whether the extension lies where the environment imports it from."""
    digits = environment.interpreter.version.replace(".", "")
    return any((ROOT / "python" / "aioxide").glob(f"_aioxide.cpython-{digits}-*.so"))


def source_hash() -> str:
    """Hash everything the extension is made of. Python sources are used in place: not part of it."""
    digest = hashlib.sha256()
    for path in sorted(sources()):
        digest.update(str(path.relative_to(ROOT)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def sources() -> Iterator[Path]:
    """Yield the files that a build reads."""
    for name in ("Cargo.toml", "Cargo.lock", "pyproject.toml"):
        if (ROOT / name).exists():
            yield ROOT / name
    for crate in (ROOT / "crates").iterdir():
        if crate.name not in ("models", "xtask"):
            yield from (path for path in crate.rglob("*") if path.suffix in (".rs", ".toml"))


def require_cargo() -> None:
    """Stop with advice when Rust is missing."""
    if shutil.which("cargo") is None:
        sys.exit(
            "cargo was not found: install Rust (rustup, or your system's packages) at the version "
            "that rust-version in Cargo.toml names or newer, and put cargo on the search path"
        )
