"""Counts references in a debug build of Python: each operation gives back what it took.

Run by ``tools/debug.py`` with an interpreter that counts all references (``sys.gettotalrefcount``) and an
extension built for it, Rust's own debug assertions on.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable

from operations import OPERATIONS


def leaked(operation: Callable[[], object], times: int) -> float:
    """Return how many references one call of the operation keeps."""
    count: Callable[[], int] = sys.gettotalrefcount  # type: ignore[attr-defined]
    for _ in range(20):
        operation()
    gc.collect()
    before = count()
    for _ in range(times):
        operation()
    gc.collect()
    return (count() - before) / times


def main() -> int:
    """Measure every operation; return the exit status."""
    failed = 0
    for name, (operation, times) in OPERATIONS.items():
        # A few references of the measurement itself are spread over the calls, and caches fill in the beginning:
        # a leak is what is there however often it is called.
        for rounds in (times, times, times, 4 * times, 16 * times):
            kept = leaked(operation, rounds)
            wrong = abs(kept) >= 0.5
            if not wrong:
                break
        failed += wrong
        print(f"{'LEAK' if wrong else 'ok  '} {name:<14} {kept:+.3f} references per call")
    print(f"{len(OPERATIONS) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
