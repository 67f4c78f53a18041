from __future__ import annotations

import asyncio

from securemodel_operator import worker
from securemodel_operator.worker import Workers


def test_many_events_are_one_pass_and_passes_never_overlap(monkeypatch) -> None:
    monkeypatch.setattr(worker, "SETTLE_S", 0.01)
    running = most = passes = 0

    async def run(_namespace: str, _name: str, _uid: str) -> float | None:
        nonlocal running, most, passes
        running += 1
        passes += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        return None if passes == 3 else 60

    async def scenario() -> None:
        workers = Workers(run)
        for _ in range(3):
            for _ in range(50):
                workers.wake("ns", "m", "uid")
            await asyncio.sleep(0.06)
        assert not workers.tasks, "the task ends with its object"

    asyncio.run(scenario())
    assert (passes, most) == (3, 1)


def test_an_error_is_tried_again_with_back_off(monkeypatch) -> None:
    monkeypatch.setattr(worker, "FIRST_BACKOFF_S", 0.01)
    passes = 0

    async def run(_namespace: str, _name: str, _uid: str) -> float | None:
        nonlocal passes
        passes += 1
        if passes < 3:
            raise OSError("no API server")
        return None

    async def scenario() -> None:
        workers = Workers(run)
        workers.wake("ns", "m", "uid")
        await asyncio.sleep(0.2)

    asyncio.run(scenario())
    assert passes == 3


def test_a_child_wakes_its_owner_only() -> None:
    passes = 0

    async def run(_namespace: str, _name: str, _uid: str) -> float | None:
        nonlocal passes
        passes += 1
        return 60

    async def scenario() -> None:
        workers = Workers(run)
        workers.wake_child("unknown")
        assert not workers.tasks
        workers.wake("ns", "m", "uid")
        await asyncio.sleep(0.01)
        workers.wake_child("uid")
        await asyncio.sleep(worker.SETTLE_S + 0.05)
        await workers.stop()

    asyncio.run(scenario())
    assert passes == 2
