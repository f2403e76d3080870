"""The pytest plugin, run on test files of its own."""

from __future__ import annotations

import textwrap

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester):
    def run(source, *options, ini=""):
        pytester.makeini(f"[pytest]\n{textwrap.dedent(ini)}")
        pytester.makepyfile(textwrap.dedent(source))
        return pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:anyio", *options)

    return run


def test_a_marked_test_runs_on_an_aioxide_loop(run):
    result = run("""
        import asyncio, aioxide, pytest

        @pytest.mark.aioxide
        async def test_loop():
            assert isinstance(asyncio.get_running_loop(), aioxide.EventLoop)

        @pytest.mark.aioxide
        async def test_failure():
            await asyncio.sleep(0)
            assert False, "seen"

        @pytest.mark.aioxide(debug=True)
        @pytest.mark.parametrize("number", [1, 2])
        async def test_debug(number):
            assert asyncio.get_running_loop().get_debug()
    """)
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*seen*"])


def test_the_virtual_clock_is_the_loops(run):
    result = run("""
        import asyncio, pytest

        @pytest.mark.aioxide
        async def test_clock(virtual_clock):
            await asyncio.sleep(3600)
            assert virtual_clock.now() == asyncio.get_running_loop().time() == 3600

        @pytest.mark.aioxide
        async def test_each_test_has_its_own(virtual_clock):
            assert virtual_clock.now() == 0

        @pytest.mark.aioxide
        async def test_deadlock(virtual_clock):
            await asyncio.Event().wait()
    """)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*Deadlock*nothing can run any more*"])


def test_asynchronous_fixtures_run_on_the_tests_loop(run):
    result = run("""
        import asyncio, pytest
        log = []

        @pytest.fixture
        async def number():
            await asyncio.sleep(0)
            return 5

        @pytest.fixture
        async def resource(number, virtual_clock):
            loop = asyncio.get_running_loop()
            await asyncio.sleep(10)
            yield loop, number
            assert asyncio.get_running_loop() is loop
            await asyncio.sleep(10)
            log.append(virtual_clock.now())

        @pytest.mark.aioxide
        @pytest.mark.parametrize("repeat", [1, 2])
        async def test_resource(resource, repeat, virtual_clock):
            assert resource == (asyncio.get_running_loop(), 5)
            assert virtual_clock.now() == 10

        def test_afterwards():
            assert log == [20, 20]
    """)
    result.assert_outcomes(passed=3)


def test_an_asynchronous_fixture_of_a_wider_scope_is_refused(run):
    result = run("""
        import pytest

        @pytest.fixture(scope="module")
        async def wide():
            yield 1

        @pytest.mark.aioxide
        async def test_wide(wide):
            pass
    """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*async fixture 'wide', with no plugin*"])


def test_without_the_mark_a_coroutine_test_is_not_ours(run):
    source = """
        async def test_plain():
            pass
    """
    assert run(source).ret != 0
    run(source, ini="aioxide_auto = true").assert_outcomes(passed=1)


def test_install_makes_all_loops_ours(run):
    source = """
        import asyncio, aioxide

        def test_loop():
            async def main():
                return asyncio.get_running_loop()
            assert isinstance(asyncio.run(main()), aioxide.EventLoop)
    """
    run(source).assert_outcomes(failed=1)
    run(source, "--aioxide").assert_outcomes(passed=1)
    run(source, ini="aioxide_install = true").assert_outcomes(passed=1)


def test_the_runner_serves_synchronous_tests(run):
    result = run("""
        import asyncio

        def test_runner(aioxide_runner, virtual_clock):
            aioxide_runner.run(asyncio.sleep(60))
            assert virtual_clock.now() == 60
    """)
    result.assert_outcomes(passed=1)


def test_methods_of_classes_are_tests_too(run):
    result = run("""
        import pytest

        @pytest.mark.aioxide
        class TestSomething:
            async def test_method(self, tmp_path):
                assert tmp_path.exists()
    """)
    result.assert_outcomes(passed=1)


def test_the_plugins_of_pytest_asyncio_and_anyio_run_beside_it(pytester):
    pytest.importorskip("pytest_asyncio")
    pytest.importorskip("anyio")
    pytester.makeini("[pytest]\nasyncio_mode = strict\n")
    pytester.makepyfile(
        textwrap.dedent("""
        import asyncio, aioxide, anyio, pytest, pytest_asyncio

        def loop():
            return asyncio.get_running_loop()

        @pytest_asyncio.fixture
        async def theirs():
            await asyncio.sleep(0)
            return loop()

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.fixture
        async def anybodys():
            await asyncio.sleep(0)
            yield loop()

        @pytest.mark.aioxide
        async def test_ours(anybodys, virtual_clock):
            await asyncio.sleep(3600)
            assert virtual_clock.now() == 3600
            assert anybodys is loop()
            assert isinstance(loop(), aioxide.EventLoop)

        @pytest.mark.asyncio
        async def test_of_pytest_asyncio(theirs):
            await asyncio.sleep(0)
            assert theirs is loop()
            assert isinstance(loop(), aioxide.EventLoop) is INSTALLED

        @pytest.mark.anyio
        async def test_of_anyio(anybodys):
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, 0)
            assert anybodys is loop()
            assert isinstance(loop(), aioxide.EventLoop) is INSTALLED

        def test_plain():
            assert isinstance(asyncio.new_event_loop(), aioxide.EventLoop) is INSTALLED
        """).replace("INSTALLED", "('--aioxide' in __import__('sys').argv)")
    )
    for options in ([], ["--aioxide"]):
        result = pytester.runpytest_subprocess("-p", "no:randomly", *options)
        result.assert_outcomes(passed=4)
