"""``python -m aioxide``: the same output, traceback and end as with plain python, but on aioxide."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

WHERE_AM_I = """\
import sys
print(sys.argv, sys.path[0], len(sys.path), __name__, globals().get('__file__'), __package__)
print(getattr(__spec__, 'name', None), getattr(__spec__, 'origin', None), globals().get('__cached__', 'absent'))
print(getattr(__loader__, '__name__', type(__loader__).__name__), sorted(globals()))
print(sys.modules['__main__'].__dict__ is globals(), vars().keys() == globals().keys())
"""

LOOP_NAME = """\
import asyncio
async def main():
    task = asyncio.current_task()
    print(type(asyncio.get_running_loop()).__module__, type(task).__module__)
asyncio.run(main())
"""

FAILS = """\
def inner(number):
    return 1 / number

def outer():
    try:
        inner(0)
    except ZeroDivisionError as error:
        raise ValueError("outer") from error

print("before")
outer()
"""

FAILS_IN_A_TASK = """\
import asyncio

async def main():
    await asyncio.sleep(0)
    raise LookupError("in a task")

if __name__ == "__main__":
    asyncio.run(main())
"""


def python(
    *arguments: str, folder: Path, text: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


def same(
    *arguments: str, folder: Path, options: tuple[str, ...] = (), text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the arguments with and without aioxide; fail if anything differs; return what both did."""
    plain = python(*options, *arguments, folder=folder, text=text)
    ours = python(*options, "-m", "aioxide", *arguments, folder=folder, text=text)
    assert (ours.returncode, ours.stdout, ours.stderr) == (plain.returncode, plain.stdout, plain.stderr)
    return ours


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(WHERE_AM_I)
    (package / "module.py").write_text(WHERE_AM_I)
    (package / "fails.py").write_text(FAILS)
    (tmp_path / "empty").mkdir()
    (tmp_path / "where.py").write_text(WHERE_AM_I)
    (tmp_path / "loop_name.py").write_text(LOOP_NAME)
    (tmp_path / "fails.py").write_text(FAILS)
    (tmp_path / "syntax.py").write_text("x = 1\ny = f(\n")
    (tmp_path / "latin.py").write_bytes(b"# -*- coding: latin-1 -*-\nprint(ascii('\xe4'))\n")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", WHERE_AM_I)
        archive.writestr("neighbour.py", "")
    os.symlink("package/module.py", tmp_path / "link.py")
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["where.py"], id="file"),
        pytest.param(["where.py", "-x", "--help", "", "ü"], id="file with arguments"),
        pytest.param(["./where.py"], id="dot"),
        pytest.param(["package/../where.py"], id="dots"),
        pytest.param(["package/module.py", "a"], id="file in a folder"),
        pytest.param(["link.py"], id="link"),
        pytest.param(["latin.py"], id="coding cookie"),
        pytest.param(["package", "a"], id="folder"),
        pytest.param(["archive.zip", "a"], id="zip"),
        pytest.param(["-m", "package", "a", "-m"], id="package"),
        pytest.param(["-m", "package.module", "a"], id="module"),
        pytest.param(["-mwhere", "a"], id="module at once"),
        pytest.param(["-c", WHERE_AM_I, "a", "-c"], id="command"),
        pytest.param([f"-c{WHERE_AM_I}", "a"], id="command at once"),
    ],
)
def test_a_program_finds_itself_as_with_python(folder: Path, arguments: list[str]) -> None:
    assert same(*arguments, folder=folder).returncode == 0


@pytest.mark.parametrize("arguments", [["-", "a"], []])
def test_a_program_on_standard_input(folder: Path, arguments: list[str]) -> None:
    assert same(*arguments, folder=folder, text=WHERE_AM_I).returncode == 0


@pytest.mark.parametrize(
    "arguments", [["where.py"], ["-m", "package"], ["package"], ["-c", "import sys; print(sys.path[0])"]]
)
def test_safe_path_adds_no_folder(folder: Path, arguments: list[str]) -> None:
    # `-m package` fails without the folder, both ways alike.
    same(*arguments, folder=folder, options=("-P",))


def test_options_of_python_still_work(folder: Path) -> None:
    code = "import sys; print(sys.flags.dev_mode, sys.flags.optimize, sys.warnoptions); assert False"
    assert same("-c", code, folder=folder, options=("-X", "dev", "-O", "-W", "ignore")).returncode == 0


@pytest.mark.parametrize(
    "arguments", [["loop_name.py"], ["-m", "loop_name"], ["-c", LOOP_NAME], ["package/../loop_name.py"]]
)
def test_the_program_runs_on_aioxide(folder: Path, arguments: list[str]) -> None:
    ours = python("-m", "aioxide", *arguments, folder=folder)
    assert (ours.returncode, ours.stderr) == (0, "")
    assert all(name.startswith("aioxide") for name in ours.stdout.split())


@pytest.mark.parametrize(
    "arguments", [["fails.py"], ["-m", "fails"], ["-m", "package.fails"], ["-c", FAILS], ["-c", "1/0"]]
)
def test_an_exception_is_shown_as_with_python(folder: Path, arguments: list[str]) -> None:
    ours = same(*arguments, folder=folder)
    assert ours.returncode == 1
    assert "aioxide" not in ours.stderr.replace(str(folder), "")


def test_an_exception_on_standard_input(folder: Path) -> None:
    assert same("-", folder=folder, text=FAILS).returncode == 1


def test_an_exception_of_a_task_is_shown_from_the_script_on(folder: Path) -> None:
    (folder / "task.py").write_text(FAILS_IN_A_TASK)
    ours = python("-m", "aioxide", "task.py", folder=folder)
    assert ours.returncode == 1
    first, second, *_, last = ours.stderr.splitlines()
    assert first == "Traceback (most recent call last):"
    assert second == f'  File "{folder / "task.py"}", line 8, in <module>'
    assert last == "LookupError: in a task"
    assert "cli.py" not in ours.stderr
    assert "runpy" not in ours.stderr


@pytest.mark.parametrize("arguments", [["syntax.py"], ["-m", "syntax"], ["-c", "f("], ["-c", "if 1:\n1"]])
def test_a_syntax_error_is_shown_as_with_python(folder: Path, arguments: list[str]) -> None:
    ours = same(*arguments, folder=folder)
    assert ours.returncode == 1
    assert "Error" in ours.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["absent.py"], 2),
        (["package/absent.py"], 2),
        (["-m", "absent"], 1),
        (["-m", "package.absent"], 1),
        (["-m", "where.py"], 1),
        (["-m", "empty"], 1),
        (["empty"], 1),
    ],
)
def test_a_program_that_is_not_there(folder: Path, arguments: list[str], code: int) -> None:
    assert same(*arguments, folder=folder).returncode == code


@pytest.mark.parametrize(
    ("value", "code"),
    [("", 0), ("None", 0), ("0", 0), ("7", 7), ("300", 300 % 256), ("-1", 255), ("'no'", 1), ("[1]", 1)],
)
def test_exit_codes(folder: Path, value: str, code: int) -> None:
    assert same("-c", f"raise SystemExit({value})", folder=folder).returncode == code


def test_exit_from_a_task(folder: Path) -> None:
    program = "import asyncio, sys\nasync def main(): sys.exit(5)\nasyncio.run(main())"
    assert same("-c", program, folder=folder).returncode == 5


def test_atexit_runs_after_the_traceback(folder: Path) -> None:
    program = "import atexit, sys; atexit.register(print, 'bye', file=sys.stderr); 1/0"
    assert same("-c", program, folder=folder).stderr.endswith("bye\n")


def test_keyboard_interrupt_kills_by_signal(folder: Path) -> None:
    program = "import atexit, signal; atexit.register(print, 'bye'); signal.raise_signal(signal.SIGINT)"
    ours = same("-c", program, folder=folder)
    assert ours.returncode == -signal.SIGINT
    assert ours.stdout == "bye\n"


def test_keyboard_interrupt_while_the_loop_runs(folder: Path) -> None:
    (folder / "waits.py").write_text(
        "import asyncio, os, signal\n"
        "async def main():\n"
        "    asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGINT)\n"
        "    try:\n"
        "        await asyncio.sleep(30)\n"
        "    finally:\n"
        "        print('cleaned up')\n"
        "asyncio.run(main())\n"
    )
    ours = python("-m", "aioxide", "waits.py", folder=folder)
    assert (ours.returncode, ours.stdout) == (-signal.SIGINT, "cleaned up\n")
    assert ours.stderr.endswith("KeyboardInterrupt\n")


def test_ctrl_c_from_outside(folder: Path) -> None:
    program = "import asyncio\nasync def main():\n print('up', flush=True)\n await asyncio.sleep(30)\nasyncio.run(main())"
    command = [sys.executable, "-m", "aioxide", "-c", program]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == -signal.SIGINT


@pytest.mark.parametrize(
    "hook",
    [
        pytest.param("lambda *args: print('hook', *args[:2], args[2].tb_frame.f_code.co_name)", id="own"),
        pytest.param("lambda *args: sys.exit(9)", id="exits"),
        pytest.param("lambda *args: 1 / 0", id="fails"),
        pytest.param("None", id="none"),
    ],
)
def test_the_programs_excepthook(folder: Path, hook: str) -> None:
    (folder / "hook.py").write_text(f"import sys\nsys.excepthook = {hook}\nraise KeyError('k')\n")
    same("hook.py", folder=folder)


def test_the_last_exception_is_kept_without_our_frames(folder: Path) -> None:
    program = "import atexit, sys\natexit.register(lambda: print(sys.last_type, sys.last_traceback.tb_lineno, sys.last_value.__traceback__ is sys.last_traceback, sys.excepthook))\n\n1/0"
    assert " 4 True <built-in" in same("-c", program, folder=folder).stdout


def test_classes_of_the_program_are_pickled(folder: Path) -> None:
    (folder / "pickles.py").write_text(
        "import pickle\nclass Point: pass\nprint(type(pickle.loads(pickle.dumps(Point()))) is Point)\n"
    )
    assert same("pickles.py", folder=folder).stdout == "True\n"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("arguments", [["pool.py"], ["-m", "pool"]])
def test_process_pools_import_the_program(folder: Path, method: str, arguments: list[str]) -> None:
    (folder / "pool.py").write_text(
        "import asyncio, concurrent.futures, multiprocessing\n"
        "def double(number): return 2 * number\n"
        "async def main():\n"
        f"    context = multiprocessing.get_context({method!r})\n"
        "    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:\n"
        "        loop = asyncio.get_running_loop()\n"
        "        print(await loop.run_in_executor(pool, double, 21))\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    ours = python("-m", "aioxide", *arguments, folder=folder)
    assert (ours.returncode, ours.stdout) == (0, "42\n"), ours.stderr


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(folder: Path, option: str) -> None:
    ours = python("-m", "aioxide", option, folder=folder)
    assert (ours.returncode, ours.stderr) == (0, "")
    assert "-m aioxide -c CODE" in ours.stdout


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(folder: Path, option: str) -> None:
    ours = python("-m", "aioxide", option, folder=folder)
    assert (ours.returncode, ours.stderr) == (0, "")
    name, version, *rest = ours.stdout.split()
    assert (name, version.count(".")) == ("aioxide", 2)
    assert rest == ["(Python", f"{sys.version.split()[0]})"]


@pytest.mark.parametrize("arguments", [["-c"], ["-m"], ["--nonsense"], ["-X", "dev", "app.py"], [""]])
def test_a_wrong_command_line(folder: Path, arguments: list[str]) -> None:
    ours = python("-m", "aioxide", *arguments, folder=folder)
    assert (ours.returncode, ours.stdout) == (2, "")
    assert "usage: python" in ours.stderr
    assert "Traceback" not in ours.stderr
