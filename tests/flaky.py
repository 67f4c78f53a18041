"""Runs test files again and again on a busy machine (`make flaky`, docs/testing.md).

What fails here has a race, or assumes that the machine is quiet. A file is one Rust test binary,
one Python test file, or all end-to-end tests. Each runs as often and as long as the options say,
end-to-end tests once. The number of busy processes stays the same throughout: the lanes that run
tests, and others that spin.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("SECUREMODEL_CACHE", Path.home() / ".cache/securemodel"))
LOGS = CACHE / "log/flaky"
# of this checkout, as in the Makefile
TARGET = CACHE / "target" / hashlib.sha256(str(ROOT).encode()).hexdigest()[:8] / "tests"
CRATES = ("worker_image/player", "tests/bench/load")
PYTHON = ("tests/unit", "tests/repository", "tests/contract", "tests/trio", "tests/bench")
# ends by itself should its parent be killed
SPIN = [
    sys.executable,
    "-c",
    "import os; parent = os.getppid()\nwhile os.getppid() == parent: sum(range(100_000))",
]
# longer than any file takes, however busy the machine
HANGS_S = 3600


@dataclass
class File:
    """What runs as one process, and how it went.

    `seconds` of each run; `failed`: the logs of the runs that failed.
    """

    name: str
    command: list[str]
    folder: Path = ROOT
    once: bool = False
    seconds: list[float] = field(default_factory=list)
    failed: list[Path] = field(default_factory=list)

    def run(self) -> None:
        begin = time.monotonic()
        log = LOGS / f"{self.name.replace('/', '-').replace(' ', '-')}-{len(self.seconds) + 1}.log"
        with (
            log.open("wb") as output,
            started(self.command, cwd=self.folder, stdout=output, stderr=output) as process,
        ):
            try:
                failed = process.wait(HANGS_S) != 0
            except subprocess.TimeoutExpired:
                output.write(f"\nkilled: it ran for more than {HANGS_S} s\n".encode())
                failed = True
        self.seconds.append(time.monotonic() - begin)
        if failed:
            self.failed.append(log)
            say(f"{self.name}: run {len(self.seconds)} failed, see {log}")
        else:
            log.unlink()


running: set[int] = set()
over = threading.Event()


@contextlib.contextmanager
def started(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, of which nothing is left afterwards."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)
    running.add(process.pid)
    if over.is_set():  # Ctrl-C came between the two lines before
        kill(process.pid)
    try:
        yield process
    finally:
        kill(process.pid)
        process.wait()
        running.discard(process.pid)


def kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


def rust(crate: str, *features: str) -> Iterator[File]:
    """The test binaries of a crate.

    Features have a target folder of their own, because the player that tests start has them too.
    """
    command = [
        "cargo", "test", "--release", "--locked", "--quiet", "--no-run",
        "--message-format=json-render-diagnostics", "--manifest-path", f"{crate}/Cargo.toml",
    ]  # fmt: skip
    if features:
        command += ["--package", "securemodel-player", "--features", ",".join(features)]
        command += ["--test", "keys"]
    # as make test builds them; for this command alone, since images are made of other builds
    environment = os.environ | {
        "CARGO_PROFILE_RELEASE_LTO": "off",
        "CARGO_TARGET_DIR": str(TARGET.joinpath(*features)),
    }
    built = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if built.returncode:
        raise SystemExit(f"the tests of {crate} do not build")

    for message in map(json.loads, built.stdout.splitlines()):
        if message.get("executable") and message["profile"]["test"]:
            name = f"{crate} {message['target']['name']}"
            yield File(name, [message["executable"]], ROOT / crate)


def files() -> Iterator[File]:
    for crate in CRATES:
        yield from rust(crate)
    yield from rust("worker_image/player", "audit")

    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    for path in sorted(path for folder in PYTHON for path in (ROOT / folder).rglob("test_*.py")):
        name = str(path.relative_to(ROOT))
        yield File(name, [*pytest, name])

    on_cluster = ["tests/cluster/in", *pytest, "tests/e2e", "tests/cluster"]
    yield File("tests/e2e", on_cluster, once=True)


class Lanes:
    """Threads that run file after file.

    One with nothing left to run spins, so that the machine stays as busy for the others.
    """

    def __init__(self, todo: list[File], runs: int, minutes: float) -> None:
        self.todo = todo
        self.runs = runs
        self.minutes = minutes

    def lane(self) -> None:
        with contextlib.suppress(IndexError):
            while not over.is_set():
                self.repeat(self.todo.pop(0))

    def repeat(self, file: File) -> None:
        end = time.monotonic() + 60 * self.minutes
        for _ in range(1 if file.once else self.runs):
            file.run()
            if time.monotonic() > end or over.is_set():
                break
        say(f"{file.name}: {len(file.seconds)} runs, {len(file.failed)} failed")

    def run(self, lanes: int, load: int) -> None:
        with contextlib.ExitStack() as spinning, ThreadPoolExecutor(lanes) as pool:
            for _ in range(load - lanes):
                spinning.enter_context(started(SPIN))
            try:
                for ended in as_completed([pool.submit(self.lane) for _ in range(lanes)]):
                    ended.result()
                    spinning.enter_context(started(SPIN))
            except BaseException:  # Ctrl-C: the lanes end with the processes that they wait for
                over.set()
                for group in list(running):
                    kill(group)
                raise


def parsed() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "only", nargs="*", help="files whose name contains one of these (default: all)"
    )
    options.add_argument("--runs", type=int, default=20, help="of each file (20)")
    options.add_argument(
        "--minutes", type=float, default=10, help="after which a file is not begun again (10)"
    )
    options.add_argument(
        "--load",
        type=int,
        default=8,
        help="busy processes at any time, those that run tests among them (8)",
    )
    options.add_argument("--lanes", type=int, default=2, help="files at a time (2)")
    asked = options.parse_args()

    if min(asked.runs, asked.lanes) < 1 or asked.load < asked.lanes:
        options.error("at least one run and one lane, and no more lanes than busy processes")
    return asked


def main() -> None:
    asked = parsed()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C

    LOGS.mkdir(parents=True, exist_ok=True)
    say("building the Rust tests (minutes the first time)")
    chosen = [
        file for file in files() if not asked.only or any(part in file.name for part in asked.only)
    ]
    if not chosen:
        raise SystemExit(f"no test file has a name with one of: {', '.join(asked.only)}")
    if any(file.once for file in chosen):
        subprocess.run(["make", "--no-print-directory", "up"], cwd=ROOT, check=True)

    say(
        f"{len(chosen)} files, {asked.runs} runs or {asked.minutes:g} minutes each, "
        f"{asked.lanes} at a time, {asked.load} busy processes on {os.cpu_count()} processors"
    )
    Lanes(list(chosen), asked.runs, asked.minutes).run(asked.lanes, asked.load)

    say("runs failed  longest s  file")
    for file in chosen:
        say(f"{len(file.seconds):>4} {len(file.failed):>6} {max(file.seconds):>10.1f}  {file.name}")
    failed = sum(len(file.failed) for file in chosen)
    say(f"{sum(len(file.seconds) for file in chosen)} runs, {failed} failed")
    raise SystemExit(bool(failed))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("interrupted; nothing was left running") from None
