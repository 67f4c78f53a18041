"""What the operating system says of processes, and of this machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path

# flag of /proc/cpuinfo and name, widest first
VECTORS = (("avx512f", "AVX-512"), ("avx2", "AVX2"), ("asimd", "NEON"))


def cpu_name() -> str:
    """The processor, and its widest vectors that the players have kernels for."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    level = next((name for flag, name in VECTORS if flag in flags), "portable")
    return f"{model}, {level}, {os.cpu_count()} cores"


def cpu_ms(pid: int) -> float:
    """User and system time since the process began."""
    ticks = sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    return _memory(pid, "VmRSS")


def peak_mb(pid: int) -> float:
    """Since the last `forget_peak`."""
    return _memory(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _memory(pid: int, field: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    kilobytes = next(int(line.split()[1]) for line in status if line.startswith(field + ":"))
    return kilobytes / 1024
