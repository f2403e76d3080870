"""Which tests may fail and why: the lists in ``expected/*.toml``.

A list knows two kinds of entries, each with a reason and the tests it speaks of:

    [[leave_out]]                 # not run at all; patterns allowed
    reason = "pure-Python Future of the standard library: none of our code runs"
    tests = ["test_futures.PyFutureTests.*"]

    [[fails]]                     # runs and must fail; whole test ids only
    reason = "..."
    python = ">=3.12"             # optional: only on these versions
    lacking = "ipv6"              # optional: only where the machine lacks it (capabilities.py)
    tests = ["test_events.SomeTests.test_this"]

The lists are strict in both directions. A failure that is not listed fails the run; so does a
listed test that passes, is skipped or no longer exists, so that the list can only shrink by itself.
There is no such thing as a flaky entry.
"""

from __future__ import annotations

import fnmatch
import operator
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import capabilities
from records import Outcome, Record

__all__ = ("Expectations", "Surprise")


@dataclass(frozen=True)
class Surprise:
    """A result that the list does not foresee."""

    test: str
    what: str
    detail: str = ""


class Expectations:
    """One list, reduced to the entries that count on this interpreter and machine."""

    def __init__(self, path: Path) -> None:
        """Read and check the list at ``path``."""
        with path.open("rb") as file:
            content = tomllib.load(file)
        _only_keys(content, {"leave_out", "fails"}, path.name)
        self.left_out: dict[str, str] = {}
        self.fails: dict[str, str] = {}
        for entry in content.get("leave_out", []):
            self._add(entry, self.left_out, path.name)
        for entry in content.get("fails", []):
            self._add(entry, self.fails, path.name)
            for test in entry["tests"]:
                if "*" in test or "?" in test:
                    raise ValueError(f"{path.name}: {test}: `fails` takes whole test ids only")

    def is_left_out(self, test: str) -> bool:
        """Say whether a pattern of `leave_out` matches."""
        return any(fnmatch.fnmatchcase(test, pattern) for pattern in self.left_out)

    def surprises(self, results: Mapping[str, Record]) -> list[Surprise]:
        """Compare what happened with what was foreseen."""
        found = []
        for test, record in results.items():
            listed = test in self.fails
            if record.outcome is Outcome.FAILED and not listed:
                found.append(Surprise(test, "failed", record.detail))
            elif record.outcome is Outcome.PASSED and listed:
                found.append(Surprise(test, "passes now: it must leave the list"))
            elif record.outcome is Outcome.SKIPPED and listed:
                found.append(Surprise(test, "is listed as failing, but is skipped", record.detail))
        return found

    def missing(self, tests: Iterable[str], modules: Iterable[str]) -> list[Surprise]:
        """Return the entries about ``modules`` that speak of no existing test."""
        tests, modules = set(tests), set(modules)
        found = []
        for test in self.fails:
            if _module(test) in modules and test not in tests:
                found.append(Surprise(test, "is listed as failing, but does not exist"))
            if self.is_left_out(test):
                found.append(Surprise(test, "is listed as failing and as left out"))
        for pattern in self.left_out:
            if _module(pattern) in modules and not fnmatch.filter(tests, pattern):
                found.append(Surprise(pattern, "is left out, but matches no test"))
        return found

    @staticmethod
    def _add(entry: dict[str, Any], into: dict[str, str], name: str) -> None:
        _only_keys(entry, {"reason", "tests", "python", "lacking"}, name)
        reason = str(entry.get("reason", "")).strip()
        tests = entry.get("tests", [])
        if len(reason.split()) < 4:
            raise ValueError(f"{name}: {tests}: a reason is a sentence, not {reason!r}")
        if not tests:
            raise ValueError(f"{name}: an entry without tests: {reason}")
        if not _on_this_version(entry.get("python", "")):
            return
        if "lacking" in entry and capabilities.has(entry["lacking"]):
            return
        for test in tests:
            if test in into:
                raise ValueError(f"{name}: {test} is listed twice")
            into[test] = reason


def _on_this_version(conditions: str) -> bool:
    """Evaluate ``">=3.12, <3.14"`` for the running interpreter."""
    for condition in filter(None, (part.strip() for part in conditions.split(","))):
        match = re.fullmatch(r"(<|<=|>|>=|==)\s*(\d+)\.(\d+)", condition)
        if match is None:
            raise ValueError(f"not a version condition: {condition!r}")
        compare = _OPERATORS[match[1]]
        if not compare(sys.version_info[:2], (int(match[2]), int(match[3]))):
            return False
    return True


def _module(test: str) -> str:
    return test.partition(".")[0]


def _only_keys(table: Mapping[str, Any], known: set[str], name: str) -> None:
    if unknown := set(table) - known:
        raise ValueError(f"{name}: unknown keys {sorted(unknown)}")


_OPERATORS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
