"""Starts the process that reads a file (__main__.py), and takes its answer.

The parser of HDF5 is the one place that gives bytes from strangers to a large library in C. It runs
where a flaw of it reaches nothing: without keys and environment, with bounded memory, time and
output, and unable to open a file, a socket or a process. However it ends, that is said of the file,
and trying again would not help.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from typing import IO, TYPE_CHECKING

from . import answer, limits, request
from .refused import invalid, too_large

if TYPE_CHECKING:
    from securemodel_share.model import Model

# numpy starts no threads; HDF5 loads no plugins
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "HDF5_PLUGIN_PRELOAD": "::",
    "HDF5_USE_FILE_LOCKING": "FALSE",
}
# -I: nothing of the environment or the working folder is imported
COMMAND = (sys.executable, "-I", "-m", __package__)
CHECK = "check which file was stored, or save the model again"


def read(data: bytes, architecture: bytes | None) -> Model:
    """The model in the bytes of a file, weights in the types in which they are stored.

    Raises:
        ShareError: InvalidModel or UnsupportedLayer: what the reader found, or how it ended.
    """
    with _unnamed_file() as taken:
        with _unnamed_file() as given:
            request.write(given, data, architecture)
            given.seek(0)
            status = _run(given, taken, len(data))
        _check(status, len(data))
        taken.seek(0)
        said = taken.read(limits.answer(len(data)))
    try:
        return answer.read(said)
    except answer.MalformedError:
        raise invalid("reading the file ended without an answer", CHECK) from None


def _run(given: IO[bytes], taken: IO[bytes], size: int) -> int | None:
    """The exit status; None if it did not end in time."""
    try:
        done = subprocess.run(  # noqa: S603 - this very program
            COMMAND,
            stdin=given,
            stdout=taken,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd="/",
            timeout=limits.waiting(size),
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return None
    return done.returncode


def _check(status: int | None, size: int) -> None:
    if status is None or status == -signal.SIGXCPU:
        seconds = limits.waiting(size) if status is None else limits.seconds(size)
        raise invalid(f"reading the file took more than {seconds} s", CHECK)
    if status == request.NO_MEMORY:
        raise too_large(size)
    if status < 0:
        raise invalid(f"reading the file crashed ({signal.Signals(-status).name})", CHECK)
    if status:
        raise invalid(f"reading the file failed with status {status}", CHECK)


def _unnamed_file() -> IO[bytes]:
    """In memory, where the system can: the container's file system is read-only."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("securemodel"), "w+b")
    return tempfile.TemporaryFile()
