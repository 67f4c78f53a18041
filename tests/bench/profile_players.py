"""Where the players' processor time goes.

`perf` samples all three; the samples are grouped by what the function is for. Waiting has none.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

RATE_HZ = 1999  # not a divisor of anything periodic
# the first that matches names the group
GROUPS = (
    ("PRG", r"aes::|ctr::|\bprg\b"),
    ("TLS", r"ring_core|rustls|aes_gcm|chacha"),
    ("compute", r"securemodel_mpc|core::(array|core_arch)|spec_from_iter"),
    (
        "memory",
        (
            r"mem(move|set|cpy)|malloc|calloc|\bcfree|_int_free|page|folio|fault|charge|memcg"
            r"|vma|mmap|unmap|zap_|lruvec|list_del_entry|rcu_read"
        ),
    ),
    (
        "scheduler",
        (
            r"finish_task_switch|sched|spin_unlock_irq|futex|wake|irqentry|\bsyscall\b"
            r"|lock_contended|select_task|enqueue|dequeue"
        ),
    ),
    (
        "network",
        (
            r"tcp|skb|sock|inet|ip_|nf_|sendmsg|recvmsg|recv|send|softirq|loopback"
            r"|copy_(to|from)_iter|net::"
        ),
    ),
)


def available() -> bool:
    return shutil.which("perf") is not None


def percent_by_group(pids: list[int], data: Path, work: Callable[[], object]) -> dict[str, float]:
    """Percent of the processes' time by group, while `work` runs."""
    record = subprocess.Popen(
        [
            "perf", "record", "-q", "-o", str(data), "-F", str(RATE_HZ),
            "-p", ",".join(map(str, pids)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        work()
    finally:
        record.send_signal(signal.SIGINT)
        record.wait(20)

    report = ["perf", "report", "-i", str(data), "--stdio", "-q", "--sort", "symbol"]
    told = subprocess.run(report, capture_output=True, text=True, timeout=120, check=True).stdout
    return grouped(told)


def grouped(table: str) -> dict[str, float]:
    """From lines "12.3%  [.] function"."""
    found = dict.fromkeys([name for name, _ in GROUPS] + ["other"], 0.0)
    for line in table.splitlines():
        if match := re.match(r"\s*([\d.]+)%\s+\[.\]\s+(.*)", line):
            group = next(
                (name for name, pattern in GROUPS if re.search(pattern, match[2])), "other"
            )
            found[group] += float(match[1])
    return found
