"""Run the tests of the crate under Miri, which finds undefined behaviour in its ``unsafe`` parts, and leaks.

It needs one certain nightly toolchain, which is installed where ``rustup`` can; otherwise this says so. What waits
for real time or talks to the kernel in ways that Miri does not know is left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from project import BUILD_ROOT, ROOT

__all__ = ("main",)

TOOLCHAIN = "nightly-2026-10-30"
COMPONENTS = ("miri", "rust-src")
#: Test programs, and in each the tests that are left out.
TESTS: dict[str, tuple[str, ...]] = {
    "tasks": (),
    "gather": (),
    "timeouts": (),
    "queues": (),
    "locks": (),
    "threads": (),
    "wakeups": (),
    # It leaks on purpose.
    "taskgroups": ("a_leaked_scope_never_runs_its_children_again",),
}


def main() -> int:
    """Install, run each program; return the exit status."""
    if not installed():
        print(f"no Miri here: {TOOLCHAIN} cannot be installed, or Miri not be set up")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    environment = {
        **os.environ,
        # Miri knows the C library's calls, not a system call made by hand.
        "RUSTFLAGS": "--cfg rustix_use_libc",
        "MIRIFLAGS": "-Zmiri-disable-isolation",
        "CARGO_TARGET_DIR": str(BUILD_ROOT / "miri"),
    }
    failed = 0
    for name, left_out in TESTS.items():
        print(f"miri: {name}", flush=True)
        command = ["cargo", f"+{TOOLCHAIN}", "miri", "test", "-q", "-p", "aioxide", "--no-default-features"]
        command += ["--test", name, "--", *(word for test in left_out for word in ("--skip", test))]
        failed += subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode != 0
    return 1 if failed else 0


def installed() -> bool:
    """Whether the toolchain and Miri's standard library are there, after trying to install them."""
    rustup = shutil.which("rustup")
    if rustup is None:
        return False
    install = [rustup, "toolchain", "install", TOOLCHAIN, "--profile", "minimal", "--no-self-update"]
    install += [word for name in COMPONENTS for word in ("--component", name)]
    return all(succeeds(command) for command in (install, ["cargo", f"+{TOOLCHAIN}", "miri", "setup"]))


def succeeds(command: list[str]) -> bool:
    """Whether a command ends well within a few minutes."""
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=240).returncode == 0
    except subprocess.TimeoutExpired:
        return False


if __name__ == "__main__":
    sys.exit(main())
