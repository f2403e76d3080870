"""Where things lie in the work tree."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ("BUILD_ROOT", "FORKY", "ROOT", "VENVS", "shown")

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".venv"
BUILD_ROOT = ROOT / "target"
#: What ``forky.py`` fetches; shared by all work trees.
FORKY = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aioxide" / "forky"


def shown(path: Path) -> str:
    """Return ``path`` as a person in the work tree would type it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
