"""The process that reads a file from strangers: `python -I -m securemodel_share.readers`, with
request.py on standard input and answer.py on standard output.

It has no keys and no environment, opens neither file nor socket once it reads (all that is needed
is loaded before), and ends where it asks for too much.
"""

from __future__ import annotations

import codecs
import os
import resource
import sys

from . import answer, formats, limits, request

INPUT, OUTPUT = 0, 1
# Python loads each when a text first has it: names in HDF5 files and in zips
ENCODINGS = ("ascii", "utf-8", "cp437")


def main() -> int:
    """Reads standard input; the exit status says that memory did not suffice."""
    for encoding in ENCODINGS:
        codecs.lookup(encoding)
    _confine(os.fstat(INPUT).st_size)
    try:
        with os.fdopen(INPUT, "rb") as given, os.fdopen(OUTPUT, "wb") as taken:
            for part in answer.of(lambda: formats.read(*request.read(given))):
                taken.write(part)
    except MemoryError:
        return request.NO_MEMORY
    return 0


def _confine(size: int) -> None:
    """Bounds for good, on memory, time, output and open files: those that are open are enough."""
    _bound(resource.RLIMIT_AS, limits.memory(size))
    _bound(resource.RLIMIT_CPU, limits.seconds(size), kill=limits.seconds(size) + 1)
    _bound(resource.RLIMIT_FSIZE, limits.answer(size))
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_NOFILE, 0)  # what is open stays open; closing makes no room
    _bound(resource.RLIMIT_NPROC, 0)


def _bound(kind: int, soft: int, kill: int | None = None) -> None:
    _, most = resource.getrlimit(kind)
    hard = soft if kill is None else kill
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(kind, (soft, hard))


if __name__ == "__main__":
    sys.exit(main())
