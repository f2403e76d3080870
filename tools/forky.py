"""Bring the newest interpreters where the system has none: ``make pythons``.

CPython 3.14 and 3.15 come with their headers and test suites from Debian's next release, forky. Its packages are
fetched by apt, with a configuration of its own that does not touch the system's, and unpacked into a folder of
the user's cache (``$XDG_CACHE_HOME/aioxide/forky``). Nothing is installed, and nobody has to be root.

Their C library is newer than the system's. So the loader and the libraries that came with them are written into
the interpreters: they then run like any other program, and what they start runs on the system's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import env
from environments import Environment, locked
from project import FORKY, ROOT

__all__ = ("VERSIONS",)

VERSIONS = ("3.14", "3.15")

#: The root of what is unpacked: the place of ``/``.
TREE = FORKY / "root"

#: Where ``interpreters.py`` looks for them.
BINARIES = TREE / "usr" / "bin"

LIBRARIES = TREE / "usr" / "lib" / "x86_64-linux-gnu"

LOADER = TREE / "usr" / "lib64" / "ld-linux-x86-64.so.2"

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

#: Debian gives testing a date after which its lists count as stale; a mirror that stands still, or a clock that
#: runs ahead, makes them so. The signatures are checked all the same.
CONFIGURATION = """\
Dir "{folder}";
Dir::Etc::sourcelist "{folder}/etc/apt/sources.list";
Dir::State::status "{folder}/var/lib/dpkg/status";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
"""


def main() -> int:
    """Fetch, unpack and fit what is missing; return the exit status."""
    if reason := why_not():
        print(f"these interpreters cannot be had here: {reason}")
        return 1
    tools = env.tools()
    with locked("forky"):
        if not all(runs(BINARIES / f"python{version}") for version in VERSIONS):
            archives = fetch()
            unpack(archives)
            fit(tools)
            for archive in archives:
                archive.unlink()
    for version in VERSIONS:
        print(BINARIES / f"python{version}")
    return 0


def why_not() -> str | None:
    """Say what stands in the way, if anything does."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return "this is not Linux on x86-64"
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            return f"no {program}"
    return None if KEYRING.exists() else f"no {KEYRING}"


def fetch() -> list[Path]:
    """Download the packages and all that they depend on; return the archives."""
    for name in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/sources.list.d", "var/lib/dpkg"):
        (FORKY / name).mkdir(parents=True, exist_ok=True)
    archives = FORKY / "var" / "cache" / "apt" / "archives"
    for folder in (FORKY / "var" / "lib" / "apt" / "lists", archives):
        (folder / "partial").mkdir(parents=True, exist_ok=True)
    # As if nothing were installed: then every library is fetched.
    (FORKY / "var" / "lib" / "dpkg" / "status").touch()
    source = f"deb [signed-by={KEYRING}] http://deb.debian.org/debian forky main\n"
    (FORKY / "etc" / "apt" / "sources.list").write_text(source)
    configuration = FORKY / "apt.conf"
    configuration.write_text(CONFIGURATION.format(folder=FORKY))
    variables = {**os.environ, "APT_CONFIG": str(configuration)}
    subprocess.run(["apt-get", "update", "--quiet"], check=True, env=variables)
    download = ["apt-get", "install", "--quiet", "--yes", "--download-only"]
    subprocess.run([*download, *packages()], check=True, env=variables)
    return sorted(archives.glob("*.deb"))


def packages() -> list[str]:
    """Return what is asked for, by name."""
    names = ["python3.14-dbg"]
    for version in VERSIONS:
        names += [f"python{version}", f"python{version}-dev", f"python{version}-venv"]
        names.append(f"libpython{version}-testsuite")
    return names


def unpack(archives: list[Path]) -> None:
    """Lay the packages' files into the tree, which is made anew."""
    shutil.rmtree(TREE, ignore_errors=True)
    TREE.mkdir(parents=True)
    for archive in archives:
        subprocess.run(["dpkg-deb", "--extract", archive, TREE], check=True)


def fit(tools: Environment) -> None:
    """Make the interpreters run where they lie."""
    for name in [*(f"python{version}" for version in VERSIONS), "python3.14d"]:
        # RPATH, not RUNPATH: the libraries' own libraries shall be looked for there, too.
        command: list[str | Path] = [tools.program("patchelf"), "--set-interpreter", LOADER]
        command += ["--force-rpath", "--set-rpath", LIBRARIES, BINARIES / name]
        subprocess.run(command, check=True)
    # Where venv finds the wheel of pip.
    for settings in (TREE / "usr" / "lib").glob("python3.*/_sysconfig*"):
        if not settings.is_symlink():
            text = settings.read_text()
            settings.write_text(text.replace("/usr/share/python-wheels", f"{TREE}/usr/share/python-wheels"))


def runs(interpreter: Path) -> bool:
    """Tell whether an interpreter is there and works."""
    if not interpreter.exists():
        return False
    return subprocess.run([interpreter, "-c", "import ssl, test.test_asyncio"], check=False).returncode == 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
