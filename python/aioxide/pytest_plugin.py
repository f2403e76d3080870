"""A pytest plugin: tests on aioxide's loop, and in virtual time.

::

    @pytest.mark.aioxide
    async def test_an_hour_passes(virtual_clock):
        await asyncio.sleep(3600)
        assert virtual_clock.now() == 3600

=========================  =============================================================================
``@pytest.mark.aioxide``   runs a coroutine test on a loop of its own; ``debug=True`` as for ``run()``
``virtual_clock``          a fixture: the test's clock; its loop takes no time
``aioxide_runner``         a fixture: the ``Runner`` of the test, for synchronous tests too
``aioxide_auto = true``    in the ini file: every coroutine test is marked
``aioxide_install``        in the ini file, or ``--aioxide``: ``aioxide.install()`` for the whole run, so that
                           the loops of other plugins (pytest-asyncio, anyio) are ours as well
=========================  =============================================================================

Fixtures that are coroutine functions or asynchronous generators, of function scope, run on the loop of the
marked test that asks for them. Fixtures of pytest-asyncio and anyio are left to those.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .runners import Runner
    from .testing import VirtualClock

__all__ = ("aioxide_runner", "virtual_clock")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds ``--aioxide`` and the ini options."""
    group = parser.getgroup("aioxide")
    group.addoption("--aioxide", action="store_true", help="every event loop of the tests is aioxide's")
    parser.addini("aioxide_install", "every event loop of the tests is aioxide's", type="bool", default=False)
    parser.addini("aioxide_auto", "coroutine tests run on aioxide without a mark", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Declares the mark, and installs aioxide if that is asked for."""
    config.addinivalue_line("markers", "aioxide(debug=None): run a coroutine test on an aioxide event loop")
    if config.getoption("--aioxide") or config.getini("aioxide_install"):
        from .installation import install, uninstall

        install()
        config.add_cleanup(uninstall)


@pytest.fixture
def virtual_clock() -> VirtualClock:
    """The clock of the test: its loop's time, which jumps where others wait."""
    from .testing import VirtualClock

    return VirtualClock()


@pytest.fixture
def aioxide_runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    """The ``aioxide.Runner`` that runs the test; on the ``virtual_clock``, if the test asks for that."""
    from .events import new_event_loop
    from .runners import Runner

    factory: Any = new_event_loop
    if "virtual_clock" in request.fixturenames:
        factory = request.getfixturevalue("virtual_clock").new_event_loop
    mark = request.node.get_closest_marker("aioxide")
    with Runner(loop_factory=factory, **({} if mark is None else mark.kwargs)) as runner:
        yield runner  # type: ignore[misc]  # asyncio's __enter__ says asyncio.Runner.


def pytest_itemcollected(item: pytest.Item) -> None:
    """Gives a marked test its runner, before its other fixtures."""
    if isinstance(item, pytest.Function) and _is_ours(item) and "aioxide_runner" not in item.fixturenames:
        item.fixturenames.insert(0, "aioxide_runner")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a marked test."""
    if not _is_ours(pyfuncitem):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    runner: Any = pyfuncitem.funcargs["aioxide_runner"]
    runner.run(pyfuncitem.obj(**arguments))
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> None:
    """Lets a marked test's asynchronous fixtures run on its loop."""
    function = fixturedef.func
    # The node of a wider scope is no test: such a fixture has no loop to run on, and pytest says so.
    if not (
        _is_asynchronous(function) and isinstance(request.node, pytest.Function) and _is_ours(request.node)
    ):
        return
    runner: Runner = request.getfixturevalue("aioxide_runner")
    if inspect.isasyncgenfunction(function):
        fixturedef.func = _generated(runner, function)  # type: ignore[misc]
    else:
        fixturedef.func = _awaited(runner, function)  # type: ignore[misc]
    # The next test has another runner.
    fixturedef.addfinalizer(lambda: setattr(fixturedef, "func", function))


def _awaited(runner: Runner, function: Any) -> Any:
    def fixture(**arguments: Any) -> Any:
        return runner.run(function(**arguments))

    return fixture


def _generated(runner: Runner, function: Any) -> Any:
    def fixture(**arguments: Any) -> Iterator[Any]:
        generator = function(**arguments)
        yield runner.run(_next(generator))
        if runner.run(_is_left(generator)):
            raise ValueError(f"asynchronous fixture {function.__qualname__} has more than one yield")

    return fixture


async def _next(generator: Any) -> Any:
    return await anext(generator)


async def _is_left(generator: Any) -> bool:
    """Ends a fixture; whether it wants to go on."""
    try:
        await anext(generator)
    except StopAsyncIteration:
        return False
    await generator.aclose()
    return True


def _is_ours(item: pytest.Function) -> bool:
    if not inspect.iscoroutinefunction(inspect.unwrap(item.obj)):
        return False
    return item.get_closest_marker("aioxide") is not None or bool(item.config.getini("aioxide_auto"))


def _is_asynchronous(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
