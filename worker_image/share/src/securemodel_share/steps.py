"""Progress: what the share step is doing, how long each step took, and how long it may take."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .errors import Reason, ShareError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Steps:
    """Prints progress and keeps the seconds of each step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str, doing: str) -> Iterator[None]:
        self.say(f"{doing} ...")
        begin = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - begin, 3)

    @contextmanager
    def within(self, seconds: int) -> Iterator[None]:
        """Ends what takes longer, for good: a model would take as long again. In the main thread.

        Raises:
            ShareError: InvalidModel.
        """

        def too_long(*_: object) -> None:
            message = (
                f"compiling the model takes more than {seconds} s; use a smaller model or fewer "
                "calibration rows, or give the share step more processors (share.resources of the "
                "chart)"
            )
            raise ShareError(Reason.INVALID_MODEL, message)

        before = signal.signal(signal.SIGALRM, too_long)
        signal.alarm(seconds)
        try:
            yield
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)

    def say(self, text: str) -> None:
        sys.stderr.write(f"share: {text}\n")
        sys.stderr.flush()
