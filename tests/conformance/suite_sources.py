"""Gets the sources of the programs whose tests we run: downloaded once, checked, unpacked.

Most come from PyPI, through pip. Two projects leave their tests out of their source distributions; those are
fetched with apt from Debian's sources, which hold the whole tree. Either way whatever index or mirror the
machine is set up for is used, and a file that is not the one we know is refused. The archives are kept in the
user's cache, for all work trees; the trees are laid anew for each run, because tests write into them.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

__all__ = ("Debian", "PyPI", "Source")

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aioxide" / "suites"


@dataclass(frozen=True)
class Source:
    """An archive and what is wanted of it."""

    name: str
    version: str
    archive: str
    #: SHA-256 of the archive.
    digest: str
    #: Patterns of paths below the archive's only folder. The program itself must not become importable from
    #: there: it is installed.
    members: tuple[str, ...]

    def unpack(self, folder: Path) -> Path:
        """Lay the tree into ``folder`` and return its top; OSError or CalledProcessError when it cannot be had."""
        with tarfile.open(self.fetch()) as tar:
            members = [member for member in tar.getmembers() if self._is_wanted(member)]
            tar.extractall(folder, members=members, filter="data")
        (top,) = folder.iterdir()
        return top

    def _is_wanted(self, member: tarfile.TarInfo) -> bool:
        inner = member.name.partition("/")[2]
        return any(fnmatchcase(inner, pattern) for pattern in self.members)

    def fetch(self) -> Path:
        """Return the archive, after downloading it if need be; OSError or CalledProcessError when that fails."""
        kept = _CACHE / self.archive
        if kept.exists() and self._digest_of(kept) == self.digest:
            return kept
        _CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as name:
            self._download(Path(name))
            archive = Path(name) / self.archive
            digest = self._digest_of(archive)
            if digest != self.digest:
                raise OSError(f"{archive.name} is not the file we know: its SHA-256 is {digest}")
            # The rename is the last step, so that a broken download is never taken for a good one.
            archive.replace(kept)
        return kept

    def _digest_of(self, archive: Path) -> str:
        return hashlib.sha256(archive.read_bytes()).hexdigest()

    def _download(self, folder: Path) -> None:
        """Put the archive into ``folder``."""
        raise NotImplementedError


class PyPI(Source):
    """A source distribution."""

    def _download(self, folder: Path) -> None:
        # pip wants to know the dependencies even when told not to fetch any, so it prepares a build; nothing is
        # compiled.
        command = ["download", "--quiet", "--no-deps", "--no-binary", self.name, "--dest", str(folder)]
        subprocess.run([sys.executable, "-m", "pip", *command, f"{self.name}=={self.version}"], check=True)


class Debian(Source):
    """The original archive of a Debian source package of the release ``trixie``."""

    def _download(self, folder: Path) -> None:
        if not _KEYRING.exists():
            raise OSError(f"no {_KEYRING}, which Debian's lists are checked with")
        for name in ("etc/apt.conf.d", "state/lists/partial", "cache/archives/partial"):
            (folder / "apt" / name).mkdir(parents=True)
        (folder / "apt" / "status").touch()
        source = f"deb-src [signed-by={_KEYRING}] http://deb.debian.org/debian trixie main\n"
        (folder / "apt" / "sources.list").write_text(source)
        configuration = folder / "apt" / "apt.conf"
        configuration.write_text(_APT.format(folder=folder / "apt"))
        variables = {**os.environ, "APT_CONFIG": str(configuration)}
        subprocess.run(["apt-get", "-qq", "update"], check=True, env=variables)
        # The archive alone: Debian's changes to it are not wanted.
        command = ["apt-get", "-qq", "source", "--download-only", "--tar-only", "--only-source"]
        subprocess.run([*command, self.name], check=True, env=variables, cwd=folder)


_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

#: A configuration that neither reads nor touches the system's.
_APT = """\
Dir "{folder}";
Dir::Etc "etc";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "-";
Dir::State "state";
Dir::State::status "{folder}/status";
Dir::Cache "cache";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
"""
