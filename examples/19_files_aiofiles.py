"""aiofiles: files without stopping the loop

A disk never says "try again later": for the kernel a file is always ready, and reading it blocks. So there is
nothing to poll; aiofiles hands every call to the loop's thread pool. That costs a little each time (read much at
once), and the loop stays free while a slow disk or a network folder takes its time.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

try:
    import aiofiles
    import aiofiles.os
except ModuleNotFoundError as error:
    print(f"skipped: {error.name} is not installed (pip install aiofiles)")
    sys.exit(77)

LINES = 1000


async def write(path: Path, name: str) -> None:
    async with aiofiles.open(path, "w", encoding="utf-8") as file:
        await file.writelines(f"{name} {number}\n" for number in range(LINES))


async def count_lines(path: Path) -> int:
    count = 0
    async with aiofiles.open(path, encoding="utf-8") as file:
        async for line in file:
            count += line.endswith("\n")
    return count


async def read_slowly(pipe: Path) -> str:
    async with aiofiles.open(pipe, encoding="utf-8") as file:  # Blocks until somebody opens it for writing.
        return await file.read()


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / f"{name}.txt" for name in ("spring", "summer", "autumn", "winter")]
        await asyncio.gather(*(write(path, path.stem) for path in paths))
        counts = await asyncio.gather(*(count_lines(path) for path in paths))
        print("lines:", dict(zip((path.stem for path in paths), counts, strict=True)))
        assert counts == [LINES] * 4

        async with aiofiles.open(paths[0], "rb") as file:
            await file.seek(-11, os.SEEK_END)
            last = await file.read()
        print("the last line of spring:", last.decode().strip())
        assert last == b"spring 999\n"

        await aiofiles.os.remove(paths[3])
        left = sorted(await aiofiles.os.listdir(folder))
        print("left:", left)
        assert left == ["autumn.txt", "spring.txt", "summer.txt"]

        # A pipe stands for a slow disk: opening it blocks, here for half a second.
        pipe = folder / "pipe"
        os.mkfifo(pipe)
        reading = asyncio.create_task(read_slowly(pipe))
        beats, started = 0, time.perf_counter()
        while time.perf_counter() - started < 0.5:
            await asyncio.sleep(0.02)
            beats += 1
        assert not reading.done()
        await asyncio.to_thread(pipe.write_text, "at last", encoding="utf-8")
        text = await reading
        print(f"a slow file said {text!r}; the loop made {beats} turns meanwhile")
        assert text == "at last"
        assert beats > 5

    try:
        await aiofiles.os.stat(paths[0])
    except FileNotFoundError as error:
        print(f"errors arrive as usual: {type(error).__name__}")
    else:
        raise AssertionError("the folder should be gone")


if __name__ == "__main__":
    asyncio.run(main())
