"""Play the tour: every numbered example, in order, each in a process of its own.

``python examples/tour.py`` runs them on aioxide (``python -m aioxide FILE``), ``--plain`` on asyncio itself. A
lesson's title is the first line of its docstring and what it shows is the first paragraph. It fails by ending
with any code but 0, and is skipped by ending with 77 after having printed why.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO

__all__ = ("EXAMPLES", "SKIPPED", "Lesson", "Outcome", "Played", "lessons", "play")

EXAMPLES = Path(__file__).resolve().parent
#: The exit code that says "not here": a program or package is missing. Automake's convention.
SKIPPED = 77
#: Seconds; the longest lessons start a database and a pool of processes.
PATIENCE = 120.0
MARGIN = "    "


def main(arguments: list[str] | None = None) -> int:
    """Play the lessons that were asked for; return the exit code."""
    options = _parser().parse_args(arguments)
    found = lessons()
    if options.list:
        for lesson in found:
            print(f"{lesson.number:02}  {lesson.title}")
        return 0
    if options.only:
        unknown = set(options.only) - {lesson.number for lesson in found}
        if unknown:
            print("no such lesson:", ", ".join(map(str, sorted(unknown))), file=sys.stderr)
            return 2
        found = [lesson for lesson in found if lesson.number in options.only]

    # What a lesson prints may not fit the terminal's encoding; that is no reason to stop.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace", line_buffering=True)
    style = _Style(sys.stdout.isatty() and "NO_COLOR" not in os.environ)
    print(style.strong(f"The tour: {len(found)} lessons on {_engine(plain=options.plain)}"))

    played: list[Played] = []
    with contextlib.suppress(KeyboardInterrupt):
        for lesson in found:
            played.append(_present(lesson, style, plain=options.plain))
    _print_summary(played, style)
    if len(played) < len(found):
        print(f"interrupted: {len(found) - len(played)} lessons were not played to their end")
        return 130
    return 1 if any(each.outcome is Outcome.FAILED for each in played) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Play the tour of asyncio on aioxide.")
    parser.add_argument("--plain", action="store_true", help="on asyncio itself, to compare")
    parser.add_argument("--only", type=int, nargs="+", metavar="N", help="only the lessons of these numbers")
    parser.add_argument("--list", action="store_true", help="print numbers and titles, play nothing")
    return parser


class Outcome(Enum):
    """How a lesson ended."""

    OK = "ok"
    SKIPPED = "skipped"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Lesson:
    """One numbered example."""

    path: Path
    number: int
    title: str
    #: The first paragraph below the title.
    shows: str


@dataclass
class Played:
    """What came of playing a lesson."""

    lesson: Lesson
    outcome: Outcome = Outcome.FAILED
    seconds: float = 0.0
    lines: list[str] = field(default_factory=list)
    #: Why it failed or was skipped; empty when it is ok.
    reason: str = ""


def lessons(folder: Path = EXAMPLES) -> list[Lesson]:
    """Return the examples called ``NN_*.py``, by number."""
    found = [_read(path) for path in folder.glob("[0-9][0-9]_*.py")]
    return sorted(found, key=lambda lesson: (lesson.number, lesson.path.name))


def _read(path: Path) -> Lesson:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or path.stem
    title, _, rest = docstring.partition("\n")
    return Lesson(path, int(path.name[:2]), title.strip().rstrip("."), rest.strip().partition("\n\n")[0])


def play(
    lesson: Lesson, *, plain: bool = False, patience: float = PATIENCE, each_line: IO[str] | None = None
) -> Played:
    """Run a lesson to its end; its lines are kept, and written to ``each_line`` as they come."""
    played = Played(lesson)
    command = [sys.executable, *([] if plain else ["-m", "aioxide"]), str(lesson.path)]
    started = time.perf_counter()
    with _process(command) as process:
        # A thread reads, so that patience also ends with a lesson that prints nothing, and so that a daemon
        # that inherited the pipe cannot keep us.
        reader = threading.Thread(target=_copy, args=(process.stdout, played.lines, each_line), daemon=True)
        reader.start()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            played.reason = f"not finished after {patience:g} s"
        else:
            reader.join(timeout=5.0)
    played.seconds = time.perf_counter() - started

    if played.reason:
        return played
    if process.returncode == 0:
        played.outcome = Outcome.OK
    elif process.returncode == SKIPPED:
        played.outcome = Outcome.SKIPPED
        played.reason = _last(played.lines) or "it did not say why"
    else:
        played.reason = f"exit code {process.returncode}: {_last(played.lines)}"
    return played


@contextlib.contextmanager
def _process(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a lesson as the head of its own session; nothing of it outlives the block."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8:backslashreplace"},
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        yield process
    finally:
        # First as Ctrl-C would, so that a lesson takes down what it has started. The group may outlive its head.
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5.0)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _copy(source: IO[str] | None, lines: list[str], sink: IO[str] | None) -> None:
    assert source is not None, "the process was started with a pipe"
    for line in source:
        lines.append(line.rstrip("\n"))
        if sink is not None:
            sink.write(f"{MARGIN}{line.rstrip()}\n")
            sink.flush()


def _last(lines: list[str]) -> str:
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _present(lesson: Lesson, style: _Style, *, plain: bool) -> Played:
    print()
    print(style.strong(f"{lesson.number:02}  {lesson.title}"))
    for line in lesson.shows.splitlines():
        print(MARGIN + style.faint(line.strip()))
    played = play(lesson, plain=plain, each_line=sys.stdout)
    reason = "" if played.outcome is Outcome.OK else f": {played.reason}"
    print(f"{MARGIN}{style.outcome(played.outcome)}, {played.seconds:.1f} s{reason}")
    return played


def _print_summary(played: list[Played], style: _Style) -> None:
    if not played:
        return
    width = max(len(each.lesson.title) for each in played)
    print()
    print(style.strong("Summary"))
    for each in played:
        line = f"{each.lesson.number:02}  {each.lesson.title:{width}}  {each.seconds:5.1f} s  "
        print(MARGIN + line + style.outcome(each.outcome))
    counts = [
        f"{count} {outcome.value}"
        for outcome in Outcome
        if (count := sum(each.outcome is outcome for each in played)) or outcome is Outcome.OK
    ]
    print(f"{MARGIN}{', '.join(counts)}; {sum(each.seconds for each in played):.1f} s in all")


def _engine(*, plain: bool) -> str:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    if plain:
        return f"asyncio of {python}"
    import aioxide  # Not needed, and perhaps not there, for --plain.

    return f"aioxide {aioxide.__version__}, {python}"


class _Style:
    """The few colours of a terminal, or none."""

    def __init__(self, colours: bool) -> None:
        self._colours = colours

    def strong(self, text: str) -> str:
        return self._wrap("1", text)

    def faint(self, text: str) -> str:
        return self._wrap("2", text)

    def outcome(self, outcome: Outcome) -> str:
        colour = {Outcome.OK: "32", Outcome.SKIPPED: "33", Outcome.FAILED: "1;31"}[outcome]
        return self._wrap(colour, outcome.value)

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text


if __name__ == "__main__":
    sys.exit(main())
