"""MariaDB for the lessons and tests that talk to one: ``python tools/mariadb.py --ensure``.

``--ensure`` installs Debian's server where that is possible; without it, only looks. Nothing here needs MariaDB
to go on, so the exit status is 0 either way, and the message says what was missing. The package's service is
not started: who needs a server starts a private one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ("NotInstalled", "apt_get", "ensure", "find", "services_stay_stopped")

# Debian keeps servers in /usr/sbin, which is on the PATH of root only.
FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec")
POLICY = Path("/usr/sbin/policy-rc.d")
# Seconds. A mirror that does not answer must not stop `make run` for minutes.
NETWORK_TIMEOUT = "20"
INSTALL_TIMEOUT = 900


def main() -> None:
    """Read the command line and report what there is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ensure", action="store_true", help="install the server when there is none")
    options = parser.parse_args()
    try:
        print(f"MariaDB: {ensure() if options.ensure else find() or 'not found'}")
    except NotInstalled as reason:
        print(f"MariaDB: not installed: {reason}")


class NotInstalled(Exception):
    """There is no server, and none could be installed; the text says why."""


def find() -> str | None:
    """Return the path of ``mariadbd``."""
    return shutil.which("mariadbd", path=os.pathsep.join((os.environ.get("PATH", os.defpath), *FOLDERS)))


def ensure() -> str:
    """Return the path of ``mariadbd``, after installing it if need be."""
    found = find()
    if found is not None:
        return found
    if os.geteuid() != 0:
        raise NotInstalled("only root can install packages; try: sudo apt-get install mariadb-server")
    if shutil.which("apt-get") is None:
        raise NotInstalled("there is no apt-get here; install MariaDB's server with your package manager")
    print("MariaDB: installing Debian's mariadb-server, once", flush=True)
    with services_stay_stopped():
        apt_get("update")
        apt_get("install", "--yes", "--no-install-recommends", "mariadb-server")
    found = find()
    if found is None:
        raise NotInstalled("the package mariadb-server has brought no mariadbd")
    return found


@contextmanager
def services_stay_stopped() -> Iterator[None]:
    """Forbid packages to start their services, unless the machine has its own policy for that."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")  # 101: the action is forbidden.
    try:
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def apt_get(*arguments: str) -> None:
    """Run apt-get without questions; its output is shown only if it fails."""
    options = ["-q", "-o", f"Acquire::http::Timeout={NETWORK_TIMEOUT}", "-o", "Acquire::Retries=1"]
    try:
        done = subprocess.run(
            ["apt-get", *options, *arguments],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=INSTALL_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"apt-get {arguments[0]} took more than {INSTALL_TIMEOUT} s") from None
    except OSError as error:
        raise NotInstalled(f"apt-get could not be run: {error}") from error
    if done.returncode:
        tail = "\n  ".join(done.stdout.splitlines()[-5:])
        raise NotInstalled(f"apt-get {arguments[0]} failed:\n  {tail}")


if __name__ == "__main__":
    main()
