"""``python -m aioxide app.py``: runs a program on aioxide, otherwise as ``python app.py`` does.

The program gets the real ``__main__`` module, so what it pickles and what its process pools import again is
found; its own ``sys.argv`` and ``sys.path[0]``; and its own end. An uncaught exception goes on to the
interpreter, which knows how to exit (also by SIGINT); only the frames of this file are taken out of the
traceback first.

Differs from python: this program's frames lie at the bottom of the stack, where ``traceback.print_stack()``
shows them, and what aioxide imports (asyncio, ssl, logging) is imported already.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import io
import linecache
import marshal
import os
import pkgutil
import runpy
import sys
import traceback
from types import CodeType, TracebackType
from typing import Any, NoReturn

from . import install
from ._aioxide import __version__
from .strict import enforced

__all__ = ("main",)

USAGE = """\
usage: python [python options] -m aioxide FILE [arguments]
       python [python options] -m aioxide -m MODULE [arguments]
       python [python options] -m aioxide -c CODE [arguments]
       python [python options] -m aioxide - [arguments]
"""

HELP = f"""\
{USAGE}
Runs an asyncio program, unchanged, on aioxide's event loop, tasks and futures; with python -X dev in strict
mode, where bad practice is an error.

FILE is a script, or a folder or a zip file with a __main__.py; - is a script on standard input.

options:
  -h, --help     show this help
  -V, --version  show the versions of aioxide and Python
"""

#: What ``__main__`` knows of a compiled file, until 3.14.
NO_CACHE: dict[str, Any] = {"__cached__": None} if sys.version_info < (3, 15) else {}


def main() -> None:
    """Run what the command line names; it does not return when that ends the process."""
    first, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    if first in ("-h", "--help"):
        print(HELP, end="")
    elif first in ("-V", "--version"):
        print(f"aioxide {__version__} (Python {sys.version.split()[0]})")
    elif first[:2] in ("-c", "-m"):
        # As with python, the value may follow at once: -mmodule.
        values = [first[2:], *arguments] if first[2:] else arguments
        if not values:
            refuse(f"argument expected for the {first} option")
        start(first[:2], values[0], values[1:])
    elif first == "-" or (not first and len(sys.argv) == 1 and not sys.stdin.isatty()):
        start("-", first, arguments)
    elif first.startswith("-"):
        refuse(f"unknown option {first}; options of python go before -m aioxide")
    elif first:
        start("file", first, arguments)
    else:
        refuse("no program given")


def refuse(reason: str) -> NoReturn:
    """Say what is wrong with the command line and exit as python does."""
    print(f"{reason}\n{USAGE}", end="", file=sys.stderr)
    sys.exit(2)


def start(kind: str, what: str, arguments: list[str]) -> None:
    """Install aioxide and run the program with its arguments; with ``python -X dev``, in strict mode."""
    install()
    try:
        if sys.flags.dev_mode:
            with enforced():
                play(kind, what, arguments)
        else:
            play(kind, what, arguments)
    except SystemExit:
        raise
    except BaseException:
        # Not called here: the interpreter does more than to call the hook, and does it with every exception.
        Report.arrange()
        raise


def play(kind: str, what: str, arguments: list[str]) -> None:
    """Run the program as ``__main__``."""
    namespace = empty_main()
    if kind == "-m":
        sys.argv = ["-m", *arguments]
        runpy._run_module_as_main(what)  # type: ignore[attr-defined]
    elif kind == "-c":
        enter_path("")
        sys.argv = ["-c", *arguments]
        exec(compile_command(what), namespace)
    elif kind == "-":
        enter_path("")
        sys.argv = [what, *arguments]
        namespace.update(__file__="<stdin>", **NO_CACHE)
        exec(compile(sys.stdin.buffer.read(), "<stdin>", "exec", dont_inherit=True), namespace)
    else:
        sys.argv = [what, *arguments]
        run_file(what, namespace)


def empty_main() -> dict[str, Any]:
    """Make ``__main__`` what it is before a program starts."""
    namespace = sys.modules["__main__"].__dict__
    builtins = namespace["__builtins__"]
    namespace.clear()
    namespace.update(
        __name__="__main__",
        __doc__=None,
        __package__=None,
        __loader__=importlib.machinery.BuiltinImporter,
        __spec__=None,
        __builtins__=builtins,
    )
    if sys.version_info < (3, 14):
        namespace["__annotations__"] = {}
    return namespace


def leave_path() -> None:
    """Take the current folder out of ``sys.path``, where ``-m aioxide`` has put it."""
    try:
        here = os.getcwd()
    except OSError:  # It was removed; python has not put it there.
        return
    if not sys.flags.safe_path and sys.path and sys.path[0] == here:
        del sys.path[0]


def enter_path(folder: str) -> None:
    """Let the program import its neighbours, unless python was told not to (``-P``, ``-I``)."""
    leave_path()
    if not sys.flags.safe_path:
        sys.path.insert(0, folder)


def compile_command(source: str) -> CodeType:
    """Compile the text after ``-c``."""
    source += "\n"
    code = compile(source, "<string>", "exec", dont_inherit=True)
    # Since 3.13 tracebacks show the lines of a command: 3.13.0 finds them by name, later ones by code.
    register = getattr(linecache, "_register_code", None)
    if register is not None:
        by_code = hasattr(linecache, "_interactive_cache")
        register(code if by_code else "<string>", source, "<string>")
    return code


def run_file(name: str, namespace: dict[str, Any]) -> None:
    """Run a script, or the ``__main__.py`` of a folder or zip file."""
    path = absolute(name)
    if pkgutil.get_importer(path) is not None:
        leave_path()
        sys.path.insert(0, path)
        runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]
        return
    try:
        with io.open_code(path) as file:
            source = file.read()
    except OSError as error:
        program = sys.orig_argv[0]
        print(f"{program}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}", file=sys.stderr)
        sys.exit(2)
    enter_path(os.path.dirname(os.path.realpath(path)))
    compiled = path.endswith(".pyc") or source.startswith(importlib.util.MAGIC_NUMBER)
    kind = importlib.machinery.SourcelessFileLoader if compiled else importlib.machinery.SourceFileLoader
    namespace.update(__file__=path, __loader__=kind("__main__", path), **NO_CACHE)
    if not compiled:
        code = compile(source, path, "exec", dont_inherit=True)
    elif source.startswith(importlib.util.MAGIC_NUMBER):
        code = marshal.loads(source[16:])
    else:
        raise RuntimeError("Bad magic number in .pyc file")
    del source
    exec(code, namespace)


def absolute(name: str) -> str:
    """Return a script's path as python writes it: absolute, but with its links and dots."""
    if os.path.isabs(name):
        return name
    try:
        return os.path.join(os.getcwd(), name)
    except OSError:
        return name


class Report:
    """Stands in for ``sys.excepthook`` while the program's last exception leaves, and calls it."""

    def __init__(self, hook: Any) -> None:
        self.hook = hook

    @classmethod
    def arrange(cls) -> None:
        # Without a hook the interpreter has its own way to complain.
        if hasattr(sys, "excepthook"):
            sys.excepthook = cls(sys.excepthook)

    def __call__(
        self, kind: type[BaseException], exception: BaseException, where: TracebackType | None
    ) -> None:
        sys.excepthook = self.hook
        where = of_program(where)
        exception.__traceback__ = sys.last_traceback = where
        try:
            self.hook(kind, exception, where)
        except SystemExit:
            raise
        except BaseException as error:
            # As the interpreter words it; there, this frame would be shown.
            print("Error in sys.excepthook:", file=sys.stderr)
            traceback.print_exception(error.with_traceback(of_program(error.__traceback__)))
            print("\nOriginal exception was:", file=sys.stderr)
            traceback.print_exception(exception)


def of_program(where: TracebackType | None) -> TracebackType | None:
    """Return a traceback from the program's first frame on: after the last of this file's."""
    program = entry = where
    while entry is not None:
        if entry.tb_frame.f_code.co_filename == __file__:
            program = entry.tb_next
        entry = entry.tb_next
    return program
