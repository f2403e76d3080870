"""aiofiles reads and writes on the loop's default executor."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from subject import Subject

aiofiles = pytest.importorskip("aiofiles")
aiofiles_os = pytest.importorskip("aiofiles.os")


def test_what_was_written_is_read_back(loops: Subject, tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "lines"
        async with aiofiles.open(path, "w") as file:
            for number in range(100):
                await file.write(f"line {number}\n")
        async with aiofiles.open(path) as file:
            lines = [line async for line in file]
        assert lines == [f"line {number}\n" for number in range(100)]
        assert (await aiofiles_os.stat(path)).st_size == sum(map(len, lines))

    loops.run(main())


def test_many_files_at_a_time(loops: Subject, tmp_path: Path) -> None:
    async def copy(number: int) -> None:
        source, target = tmp_path / f"{number}", tmp_path / f"{number}.copy"
        async with aiofiles.open(source, "wb") as file:
            await file.write(bytes([number]) * 100_000)
        async with aiofiles.open(source, "rb") as reader, aiofiles.open(target, "wb") as writer:
            while piece := await reader.read(8192):
                await writer.write(piece)
        await aiofiles_os.remove(source)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(50):
                group.create_task(copy(number))

    loops.run(main())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{n}.copy" for n in range(50))
    assert all((tmp_path / f"{n}.copy").read_bytes() == bytes([n]) * 100_000 for n in range(50))


def test_a_missing_file_is_an_error_of_the_await(loops: Subject, tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            async with aiofiles.open(tmp_path / "none"):
                pass

    loops.run(main())
