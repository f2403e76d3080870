"""What the numbers were measured on, in the words that a reader needs to judge them."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

__all__ = ("describe",)


def describe() -> dict[str, str]:
    return {
        "cpu": cpu_model(),
        "cpus": str(os.cpu_count()),
        "memory": memory(),
        "system": f"{platform.system()} {platform.release()} ({libc()})",
        "governor": governor(),
        "rustc": first_line(["rustc", "--version"]),
        "load at the start": " ".join(f"{value:.2f}" for value in os.getloadavg()),
    }


def cpu_model() -> str:
    for key, value in key_values(Path("/proc/cpuinfo")):
        if key == "model name":
            return value + hypervisor()
    return platform.processor() or platform.machine()


def hypervisor() -> str:
    flags = next((value for key, value in key_values(Path("/proc/cpuinfo")) if key == "flags"), "")
    return " (virtual machine)" if "hypervisor" in flags.split() else ""


def memory() -> str:
    for key, value in key_values(Path("/proc/meminfo")):
        if key == "MemTotal":
            return f"{int(value.split()[0]) / 1024**2:.1f} GiB"
    return "unknown"


def libc() -> str:
    return " ".join(part for part in platform.libc_ver() if part) or "unknown libc"


def governor() -> str:
    path = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return path.read_text(encoding="ascii").strip() if path.exists() else "not visible"


def first_line(command: list[str]) -> str:
    try:
        completed = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "not installed"
    return completed.stdout.partition("\n")[0]


def key_values(path: Path) -> list[tuple[str, str]]:
    if not path.exists():
        return []
    pairs = (line.partition(":") for line in path.read_text(encoding="utf-8").splitlines())
    return [(key.strip(), value.strip()) for key, _, value in pairs]
