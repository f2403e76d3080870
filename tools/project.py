"""Where things lie in the work tree."""

from __future__ import annotations

from pathlib import Path

__all__ = ("BUILD_ROOT", "ROOT", "VENVS", "shown")

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".venv"
BUILD_ROOT = ROOT / "target"


def shown(path: Path) -> str:
    """Return ``path`` as a person in the work tree would type it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
