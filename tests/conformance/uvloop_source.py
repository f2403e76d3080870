"""Gets uvloop's source distribution, for its tests: downloaded once, checked, unpacked.

Through pip, so that whatever index the machine is set up for is used. pip wants to know the package's
dependencies even when told not to fetch any, so it prepares a build; nothing is compiled.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

__all__ = ("VERSION", "unpacked")

VERSION = "0.23.0"
_SHA256 = "28d160f51ab4da3b187063652e643dea6831072add4adc1e6d62afbe73b6be27"

_CACHE = Path(__file__).resolve().parent / ".cache"


def unpacked() -> Path:
    """Return the folder of the source; OSError or CalledProcessError when it cannot be had."""
    folder = _CACHE / f"uvloop-{VERSION}"
    if folder.exists():
        return folder
    _CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_CACHE) as name:
        download = Path(name)
        command = ["download", "--quiet", "--no-deps", "--no-binary", "uvloop", "--dest", name]
        subprocess.run([sys.executable, "-m", "pip", *command, f"uvloop=={VERSION}"], check=True)
        archive = next(download.glob("uvloop-*.tar.gz"))
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if digest != _SHA256:
            raise OSError(f"{archive.name} is not the file we know: its SHA-256 is {digest}")
        with tarfile.open(archive) as tar:
            tar.extractall(download, members=_tests_of(tar), filter="data")
        # The rename is the last step, so that a broken download is never taken for a good one.
        shutil.move(download / folder.name, folder)
    return folder


def _tests_of(tar: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """Return the tests and what they import; uvloop itself must not become importable."""
    top = f"uvloop-{VERSION}"
    return [
        member
        for member in tar.getmembers()
        if member.name.startswith(f"{top}/tests/") or member.name == f"{top}/uvloop/_testbase.py"
    ]
