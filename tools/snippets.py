"""Run the Python snippets of README and ``docs/``: documentation that does not work is a failure.

Every block fenced as ``python`` runs in a process of its own, by ``python -m aioxide``. Words after
``python`` change that: ``plain`` runs it by ``python``, ``fragment`` does not run it but compiles it.
A block fenced as ``output`` that follows is what the snippet must print, line by line; ``...`` in it
stands for anything.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from project import ROOT, shown

__all__ = ("Snippet", "matches", "snippets")

#: Seconds a snippet may take; none of them should need more than one.
PATIENCE = 60
FENCE = re.compile(r"^```(\w+)?(.*)$")


@dataclass(frozen=True)
class Snippet:
    """A block of Python in a page."""

    page: Path
    line: int
    words: tuple[str, ...]
    code: str
    output: str | None = None

    def __str__(self) -> str:
        return f"{shown(self.page)}:{self.line}"


def main() -> int:
    """Run the snippets of the pages on the command line, or of all; return the exit status."""
    pages = [Path(name).resolve() for name in sys.argv[1:]] or all_pages()
    passed = failed = 0
    for page in pages:
        for snippet in snippets(page, page.read_text(encoding="utf-8")):
            fault = run(snippet)
            print(f"{snippet} {'FAILED' if fault else 'ok'}", flush=True)
            if fault:
                failed += 1
                print("    " + fault.rstrip().replace("\n", "\n    "))
            else:
                passed += 1
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed or not passed else 0


def all_pages() -> list[Path]:
    """Return the pages that users read."""
    return [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def snippets(page: Path, text: str) -> Iterator[Snippet]:
    """Yield the Python blocks of a page, each with the output that is written below it."""
    pending: Snippet | None = None
    for line, language, words, body in blocks(text):
        if language == "output" and pending is not None:
            yield Snippet(page, pending.line, pending.words, pending.code, body)
            pending = None
            continue
        if pending is not None:
            yield pending
            pending = None
        if language == "python":
            pending = Snippet(page, line, words, body)
    if pending is not None:
        yield pending


def blocks(text: str) -> Iterator[tuple[int, str, tuple[str, ...], str]]:
    """Yield the fenced blocks of a page: line, language, words behind it, body."""
    opened: tuple[int, str, tuple[str, ...]] | None = None
    body: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line)
        if opened is None and fence:
            opened = (number, fence[1] or "", tuple(fence[2].split()))
            body = []
        elif opened is not None and line.rstrip() == "```":
            yield (*opened, "\n".join(body) + "\n")
            opened = None
        elif opened is not None:
            body.append(line)


def run(snippet: Snippet) -> str:
    """Run one snippet; return what is wrong with it, or nothing."""
    if "fragment" in snippet.words:
        try:
            compile(snippet.code, str(snippet), "exec")
        except SyntaxError as error:
            return str(error)
        return ""
    launcher = [sys.executable] if "plain" in snippet.words else [sys.executable, "-m", "aioxide"]
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "snippet.py"
        program.write_text(snippet.code, encoding="utf-8")
        try:
            done = subprocess.run(
                [*launcher, str(program)],
                cwd=folder,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"still running after {PATIENCE} s"
    if done.returncode != 0:
        return f"exit status {done.returncode}\n{done.stdout}{done.stderr}"
    if snippet.output is not None and not matches(snippet.output, done.stdout):
        return f"it printed\n{done.stdout}{done.stderr}\ninstead of\n{snippet.output}"
    return ""


def matches(expected: str, printed: str) -> bool:
    """Whether ``printed`` is what ``expected`` says, ``...`` standing for anything on a line."""
    wanted, got = expected.split("\n"), printed.split("\n")
    return len(wanted) == len(got) and all(
        re.fullmatch(".*".join(re.escape(part) for part in pattern.split("...")), line)
        for pattern, line in zip(wanted, got, strict=True)
    )


if __name__ == "__main__":
    sys.exit(main())
