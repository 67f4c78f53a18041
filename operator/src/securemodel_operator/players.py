"""What players report of themselves, read from their health port."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from . import names
from .spec.model import Player, SecureModel

TIMEOUT_S = 1.5


class Players:
    """Asks by DNS name, never by address."""

    def __init__(self) -> None:
        self.http = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False)

    async def close(self) -> None:
        await self.http.aclose()

    async def reports(self, sm: SecureModel) -> dict[str, dict[str, Any]]:
        """By player's name; a player that does not answer is left out."""
        answers = await asyncio.gather(*(self._report(sm, player) for player in sm.players))
        found = zip(sm.players, answers, strict=True)
        return {player.name: answer for player, answer in found if answer is not None}

    async def _report(self, sm: SecureModel, player: Player) -> dict[str, Any] | None:
        host = sm.names.seat_host(player.seat)
        url = f"http://{host}:{names.HEALTH_PORT}/status"
        try:
            answer = await self.http.get(url)
            answer.raise_for_status()
            report = answer.json()
        except (httpx.HTTPError, ValueError):
            return None
        return report if isinstance(report, dict) and report.get("model") == sm.name else None
