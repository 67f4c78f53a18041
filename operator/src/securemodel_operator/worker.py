"""One task a SecureModel.

It is woken by events (many at once are one pass), never runs two passes at a time, backs off after
errors and ends with its object.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

log = logging.getLogger("securemodel")
FIRST_BACKOFF_S = 1.0
LAST_BACKOFF_S = 60.0
# events come in bursts: a pass begins this long after the first of them
SETTLE_S = 0.1

Pass = Callable[[str, str, str], Awaitable[float | None]]


class Workers:
    """All tasks.

    `run` is one pass: (namespace, name, uid) -> seconds until the next is due, None when the object
    is gone.
    """

    def __init__(self, run: Pass) -> None:
        self.run = run
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.woken: dict[str, asyncio.Event] = {}
        self.last_pass = time.monotonic()

    def wake(self, namespace: str, name: str, uid: str) -> None:
        """Something happened to the object or its children."""
        event = self.woken.setdefault(uid, asyncio.Event())
        event.set()
        if uid not in self.tasks:
            self.tasks[uid] = asyncio.create_task(
                self._work(namespace, name, uid), name=f"{namespace}/{name}"
            )

    def wake_child(self, uid: str) -> None:
        """A child of an object changed; if the object has no task, it is gone or not seen yet."""
        if uid in self.woken:
            self.woken[uid].set()

    async def stop(self) -> None:
        tasks = list(self.tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def stalled(self, seconds: float) -> bool:
        """Whether there is work and no pass has ended for so long."""
        return bool(self.tasks) and time.monotonic() - self.last_pass > seconds

    async def _work(self, namespace: str, name: str, uid: str) -> None:
        try:
            backoff = FIRST_BACKOFF_S
            while True:
                self.woken[uid].clear()
                try:
                    due = await self.run(namespace, name, uid)
                    backoff = FIRST_BACKOFF_S
                except Exception as error:  # noqa: BLE001 - the next pass begins anew
                    _log_failure(namespace, name, error, backoff)
                    due, backoff = backoff, min(2 * backoff, LAST_BACKOFF_S)
                self.last_pass = time.monotonic()
                if due is None:
                    return
                await _woken_or_due(self.woken[uid], due)
        finally:
            self.tasks.pop(uid, None)
            self.woken.pop(uid, None)


async def _woken_or_due(woken: asyncio.Event, due: float) -> None:
    try:
        await asyncio.wait_for(woken.wait(), due)
    except TimeoutError:
        return
    await asyncio.sleep(SETTLE_S)


def _log_failure(namespace: str, name: str, error: Exception, backoff: float) -> None:
    why = error or type(error).__name__
    log.warning("%s/%s: %s; trying again in %g s", namespace, name, why, backoff)
