"""Every lesson of the tour runs on aioxide and keeps what its assertions promise; the player tells the truth."""

from __future__ import annotations

import importlib.util
import os
import select
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def _load_tour():
    """Import the player, which lies outside of any package."""
    spec = importlib.util.spec_from_file_location("aioxide_tour", EXAMPLES / "tour.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Its dataclasses look their module up there.
    spec.loader.exec_module(module)
    return module


tour = _load_tour()
LESSONS = tour.lessons()
#: These mostly sleep, so they play side by side. The later ones measure, or fill the processors.
SLEEPERS = [lesson for lesson in LESSONS if lesson.number <= 15]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def sleepers(request) -> Iterator[dict[str, Future]]:
    """The sleepers that were selected, playing four at a time."""
    wanted = {item.callspec.id for item in request.session.items if hasattr(item, "callspec")}
    with ThreadPoolExecutor(4) as pool:
        yield {
            lesson.path.stem: pool.submit(tour.play, lesson, patience=PATIENCE)
            for lesson in SLEEPERS
            if lesson.path.stem in wanted
        }
        pool.shutdown(cancel_futures=True)


def _assert_ok(played) -> None:
    if played.outcome is tour.Outcome.SKIPPED:
        pytest.skip(played.reason)
    output = "\n".join(played.lines)
    assert played.outcome is tour.Outcome.OK, f"{played.reason}\n{output}"
    assert output, "a lesson says what it shows"
    assert "Task was destroyed but it is pending" not in output
    assert "ResourceWarning" not in output


@pytest.mark.parametrize("lesson", SLEEPERS, ids=lambda lesson: lesson.path.stem)
def test_lesson_keeps_its_promise(lesson, sleepers):
    _assert_ok(sleepers[lesson.path.stem].result())


@pytest.mark.parametrize(
    "lesson", [each for each in LESSONS if each not in SLEEPERS], ids=lambda lesson: lesson.path.stem
)
def test_lesson_with_work_keeps_its_promise(lesson):
    _assert_ok(tour.play(lesson, patience=PATIENCE))


def test_lessons_are_numbered_without_gaps_and_say_what_they_show():
    assert [lesson.number for lesson in LESSONS] == list(range(1, len(LESSONS) + 1))
    assert len(LESSONS) >= 16
    for lesson in LESSONS:
        assert lesson.title != lesson.path.stem, f"{lesson.path.name} has no docstring"
        assert lesson.shows, f"{lesson.path.name} does not say what it shows"


def test_readme_lists_every_lesson_by_its_title():
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for lesson in LESSONS:
        title = lesson.title.replace("``", "")
        assert f"[{lesson.path.name}]({lesson.path.name}) | {title} |" in readme


@pytest.fixture
def write_lesson(tmp_path):
    def write(code: str):
        path = tmp_path / "42_written.py"
        path.write_text(
            '"""A title.\n\nWhat it\nshows.\n\nMore.\n"""\n' + textwrap.dedent(code), encoding="utf-8"
        )
        (lesson,) = tour.lessons(tmp_path)
        return lesson

    return write


def test_player_reads_title_and_first_paragraph(write_lesson):
    lesson = write_lesson("")
    assert (lesson.number, lesson.title, lesson.shows) == (42, "A title", "What it\nshows.")


def test_player_runs_lessons_on_aioxide_unless_plain(write_lesson):
    lesson = write_lesson(
        """
        import asyncio, sys
        async def main(): return type(asyncio.get_running_loop()).__module__
        print(asyncio.run(main()).partition(".")[0])
        """
    )
    assert tour.play(lesson, patience=PATIENCE).lines == ["aioxide"]
    assert tour.play(lesson, plain=True, patience=PATIENCE).lines == ["asyncio"]


@pytest.mark.parametrize(
    ("code", "outcome", "reason"),
    [
        ("print('fine')", "OK", ""),
        ("print('no database here')\nraise SystemExit(77)", "SKIPPED", "no database here"),
        ("assert 1 == 2, 'wrong'", "FAILED", "exit code 1: AssertionError: wrong"),
        ("import os; os.kill(os.getpid(), 9)", "FAILED", "exit code -9: "),
    ],
)
def test_player_tells_how_a_lesson_ended(write_lesson, code, outcome, reason):
    played = tour.play(write_lesson(code), plain=True, patience=PATIENCE)
    assert (played.outcome.name, played.reason) == (outcome, reason)


def test_player_ends_a_lesson_that_hangs_and_what_it_started(write_lesson):
    lesson = write_lesson(
        """
        import signal, subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        print(child.pid)
        signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
        time.sleep(3600)
        """
    )
    played = tour.play(lesson, plain=True, patience=2.0)
    assert (played.outcome, played.reason) == (tour.Outcome.FAILED, "not finished after 2 s")
    (pid,) = played.lines
    try:
        descriptor = os.pidfd_open(int(pid))
    except ProcessLookupError:
        return  # It is gone already.
    # A killed process takes a moment to end, and may remain as a zombie: for a pidfd that is an end.
    readable, _, _ = select.select([descriptor], [], [], PATIENCE)
    os.close(descriptor)
    assert readable


@pytest.mark.parametrize(
    ("code", "expected", "counts"),
    [("print('hi')", 0, "1 ok;"), ("1 / 0", 1, "0 ok, 1 FAILED;"), ("exit(77)", 0, "0 ok, 1 skipped;")],
)
def test_tour_ends_with_the_code_and_summary_of_its_lessons(
    write_lesson, monkeypatch, capsys, code, expected, counts
):
    lesson = write_lesson(code)
    monkeypatch.setattr(tour, "lessons", lambda: [lesson])
    assert tour.main(["--plain"]) == expected
    output = capsys.readouterr().out
    assert "42  A title" in output
    assert "    What it\n    shows.\n" in output
    assert counts in output.splitlines()[-1]


def test_tour_lists_and_refuses_what_is_not_there():
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(EXAMPLES / "tour.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    listed = run("--list")
    assert listed.returncode == 0
    assert listed.stdout.splitlines() == [f"{lesson.number:02}  {lesson.title}" for lesson in LESSONS]
    refused = run("--only", "1", "98")
    assert (refused.returncode, refused.stderr) == (2, "no such lesson: 98\n")
