"""A MariaDB server for a lesson: the one the environment names, or a private one that ends with the block.

``AIOXIDE_MYSQL_HOST`` (with ``_PORT``, ``_USER``, ``_PASSWORD``, ``_DB``) names a running server; one that is named
and does not answer is an error, not a reason to start another. A private server listens on a free port of
127.0.0.1, keeps its data in a temporary folder, and both are gone afterwards.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ("Server", "Unavailable", "server")

# Debian keeps servers in /usr/sbin, which is on the PATH of root only.
FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec")
# Seconds; on a slow disk the first start takes several.
START_TIMEOUT = 60
STOP_TIMEOUT = 15
# Another program may take the free port before the server does.
ATTEMPTS = 3

# Small and careless: the data does not outlive the program.
SETTINGS = (
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--performance-schema=OFF",
    "--innodb-buffer-pool-size=8M",
    "--innodb-log-file-size=4M",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-use-native-aio=OFF",
    "--key-buffer-size=1M",
    "--aria-pagecache-buffer-size=1M",
)


class Unavailable(Exception):
    """No server can be had; the text says why."""


@dataclass(frozen=True)
class Server:
    """Where a server is, and who may use which of its databases."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str


@contextmanager
def server() -> Iterator[Server]:
    """Give a server for the time of the block, or raise Unavailable."""
    if "AIOXIDE_MYSQL_HOST" in os.environ or "AIOXIDE_MYSQL_PORT" in os.environ:
        yield named()
        return
    # Not below a long TMPDIR: the path of a Unix socket has at most 107 characters.
    parent = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix="aioxide-mariadb-", dir=parent if len(parent) < 70 else "/tmp"))
    try:
        install(folder)
        process, private = start(folder)
        try:
            yield private
        finally:
            stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def named() -> Server:
    """Return the server of the environment variables."""
    value = os.environ.get
    return Server(
        host=value("AIOXIDE_MYSQL_HOST", "127.0.0.1"),
        port=int(value("AIOXIDE_MYSQL_PORT", "3306")),
        user=value("AIOXIDE_MYSQL_USER", "root"),
        password=value("AIOXIDE_MYSQL_PASSWORD", ""),
        database=value("AIOXIDE_MYSQL_DB", "test"),
    )


def install(folder: Path) -> None:
    """Write the system tables. Root can log in through the Unix socket only."""
    command = [program("mariadb-install-db"), *common(folder), "--skip-test-db"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise Unavailable(f"mariadb-install-db failed: {last_lines(done.stdout + done.stderr)}")


def start(folder: Path) -> tuple[subprocess.Popen[bytes], Server]:
    """Start the server and return once it greets its clients."""
    private = Server("127.0.0.1", 0, "aioxide", secrets.token_hex(16), "aioxide")
    account = f"'{private.user}'@'127.0.0.1'"
    first = folder / "first.sql"
    first.write_text(
        f"CREATE DATABASE IF NOT EXISTS {private.database} CHARACTER SET utf8mb4;\n"
        f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{private.password}';\n"
        f"GRANT ALL ON {private.database}.* TO {account};\n"
    )
    log = folder / "log"
    for _ in range(ATTEMPTS):
        port = free_port()
        command = [
            *ends_with_us(),
            program("mariadbd"),
            *common(folder),
            *SETTINGS,
            f"--port={port}",
            f"--socket={folder / 'socket'}",
            f"--pid-file={folder / 'pid'}",
            f"--init-file={first}",
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            ready = wait_until_ready(process, port)
        except BaseException:
            stop(process)
            raise
        if ready:
            return process, Server(private.host, port, private.user, private.password, private.database)
        stop(process)
    raise Unavailable(f"mariadbd did not start: {last_lines(log.read_text(errors='replace'))}")


def wait_until_ready(process: subprocess.Popen[bytes], port: int) -> bool:
    """Return whether the server sends its greeting; a connection alone comes too early to tell."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                if connection.recv(1) and process.poll() is None:
                    return True
        except OSError:
            pass  # Not listening yet.
        time.sleep(0.05)
    return False


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and wait for its end, so that its folder can be removed."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def common(folder: Path) -> list[str]:
    """Return what both programs want to know; ``--no-defaults`` has to be the first."""
    # As root the server insists on being told that it is meant.
    user = ["--user=root"] if os.geteuid() == 0 else []
    return ["--no-defaults", f"--datadir={folder / 'data'}", *user]


def ends_with_us() -> list[str]:
    """Return a prefix that lets the kernel end the server if this program is killed, where there is one."""
    prefix = ["setpriv", "--pdeathsig", "KILL"]  # BusyBox has a setpriv without this option.
    try:
        works = (
            subprocess.run([*prefix, "true"], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0
        )
    except FileNotFoundError:
        works = False
    return prefix if works else []


def program(name: str) -> str:
    """Return the path of one of MariaDB's programs."""
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *FOLDERS)))
    if found is None:
        raise Unavailable(f"{name} is not installed (python tools/mariadb.py --ensure installs it on Debian)")
    return found


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def last_lines(text: str) -> str:
    """Return the end of a log, on one line."""
    return " | ".join(text.strip().splitlines()[-3:]) or "it said nothing"
