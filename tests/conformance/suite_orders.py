"""What a run of a program's tests is told: a JSON file, named in the environment, read by ``suites_plugin``."""

from __future__ import annotations

import fnmatch
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ("VARIABLE", "Orders")

#: Names the file, to the workers of xdist as well.
VARIABLE = "AIOXIDE_SUITE_ORDERS"


@dataclass(frozen=True)
class Orders:
    """Where to write, and what to run."""

    #: The file of records.
    records: str
    #: Patterns of tests that do not run.
    leave_out: Sequence[str] = ()
    #: The ids of all that runs; everything when empty.
    only: Sequence[str] = ()
    #: A regular expression that an id must match somewhere.
    pattern: str = ""

    @classmethod
    def given(cls) -> Orders:
        """Read the file that the environment names."""
        return cls(**json.loads(Path(os.environ[VARIABLE]).read_text()))

    def write(self, path: Path) -> dict[str, str]:
        """Write the file; return the variable that names it."""
        path.write_text(json.dumps(asdict(self)))
        return {VARIABLE: str(path)}

    def choose(self, test: str) -> bool:
        """Say whether ``test`` runs."""
        if self.only and test not in self.only:
            return False
        if not re.search(self.pattern, test):
            return False
        return not any(fnmatch.fnmatchcase(test, pattern) for pattern in self.leave_out)
