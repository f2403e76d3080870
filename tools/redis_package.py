"""Redis for redis-py's own tests: ``python tools/redis_package.py --ensure``.

Like ``mariadb.py``: ``--ensure`` installs Debian's server where that is possible, the package's service is not
started, and the exit status is 0 either way; the tests of redis-py are left aside where there is no server.
"""

from __future__ import annotations

import argparse
import os
import shutil

from mariadb import NotInstalled, apt_get, services_stay_stopped

__all__ = ("ensure", "find")


def main() -> None:
    """Read the command line and report what there is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ensure", action="store_true", help="install the server when there is none")
    options = parser.parse_args()
    try:
        print(f"Redis: {ensure() if options.ensure else find() or 'not found'}")
    except NotInstalled as reason:
        print(f"Redis: not installed: {reason}")


def find() -> str | None:
    """Return the path of the server; valkey is one by another name."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


def ensure() -> str:
    """Return the path of the server, after installing it if need be."""
    found = find()
    if found is not None:
        return found
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NotInstalled("there is no redis-server; install it with your package manager")
    print("Redis: installing Debian's redis-server, once", flush=True)
    with services_stay_stopped():
        apt_get("update")
        apt_get("install", "--yes", "--no-install-recommends", "redis-server")
    found = find()
    if found is None:
        raise NotInstalled("the package redis-server has brought no redis-server")
    return found


if __name__ == "__main__":
    main()
