"""Check reference counts with the debug builds of Python that there are (Debian: ``python3.11-dbg``).

The extension is built for each without optimisation, with Rust's debug assertions, and put beside a copy of the
package; then ``tests/debug/refcounts.py`` runs. ``--ensure`` installs such a build from Debian's or Ubuntu's packages
where there is none and that is possible; the exit status is 0 either way.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import interpreters
from interpreters import SUPPORTED
from mariadb import NotInstalled, apt_get
from project import BUILD_ROOT, FORKY, ROOT

__all__ = ("debug_interpreters", "ensure")


def debug_interpreters() -> list[str]:
    """Find an interpreter that counts references for each version that has one."""
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), str(FORKY / "root" / "usr" / "bin")])
    found = []
    for version in SUPPORTED:
        for name in (f"python{version}-dbg", f"python{version}d"):
            path = shutil.which(name, path=places)
            if path is None:
                continue
            asked = subprocess.run(
                [path, "-c", "import sys; sys.gettotalrefcount()"], capture_output=True, check=False
            )
            if asked.returncode == 0:
                found.append(path)
                break
    return found


def ensure() -> list[str]:
    """Return the debug builds, after installing one if need be: of a version that is tested anyway."""
    if found := debug_interpreters():
        return found
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NotInstalled("there is none; install python3.X-dbg with your package manager")
    apt_get("update")
    for version in sorted({interpreter.version for interpreter in interpreters.find()}):
        package = f"python{version}-dbg"
        if not subprocess.run(["apt-cache", "show", package], capture_output=True, check=False).stdout:
            continue
        print(f"installing {package}, once", flush=True)
        apt_get("install", "--yes", "--no-install-recommends", package)
        return debug_interpreters()
    raise NotInstalled("there are no packages of debug builds for these versions of Python")


def main() -> int:
    """Build, copy and run for each; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ensure", action="store_true", help="only install a debug build when there is none")
    if parser.parse_args().ensure:
        try:
            print(f"debug builds of Python: {', '.join(ensure())}")
        except NotInstalled as reason:
            print(f"no debug build of Python: {reason}")
        return 0
    found = debug_interpreters()
    if not found:
        print("no debug build of Python here (Debian's python3.11-dbg): reference counts are not checked")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    failed = [interpreter for interpreter in found if check(interpreter) != 0]
    print(f"{len(found) - len(failed)} passed, {len(failed)} failed, 0 skipped")
    return 1 if failed else 0


def check(interpreter: str) -> int:
    """Build, copy, run; return the exit status."""
    print(interpreter, flush=True)
    target = BUILD_ROOT / Path(interpreter).name
    environment = {**os.environ, "PYO3_PYTHON": interpreter, "CARGO_TARGET_DIR": str(target)}
    built = subprocess.run(
        ["cargo", "build", "-q", "-p", "aioxide-py"], cwd=ROOT, env=environment, check=False
    )
    if built.returncode != 0:
        return built.returncode
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "aioxide"
        shutil.copytree(
            ROOT / "python" / "aioxide", package, ignore=shutil.ignore_patterns("*.so", "__pycache__")
        )
        suffix = subprocess.check_output(
            [interpreter, "-c", "import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX'))"], text=True
        ).strip()
        shutil.copy(target / "debug" / "lib_aioxide.so", package / f"_aioxide{suffix}")
        tests = ROOT / "tests" / "debug" / "refcounts.py"
        environment = {**os.environ, "PYTHONPATH": folder}
        return subprocess.run(
            [interpreter, "-X", "faulthandler", tests], env=environment, check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
