"""What the chart tells the operator, through the environment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DEFAULT_PLAYER_RESOURCES = {
    "requests": {"cpu": "50m", "memory": "64Mi"},
    "limits": {"memory": "1Gi"},
}
DEFAULT_SHARE_RESOURCES = {
    "requests": {"cpu": "100m", "memory": "512Mi"},
    "limits": {"memory": "2Gi"},
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    player_image: str
    share_image: str
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    player_resources: dict[str, Any] = field(default_factory=lambda: DEFAULT_PLAYER_RESOURCES)
    share_resources: dict[str, Any] = field(default_factory=lambda: DEFAULT_SHARE_RESOURCES)
    volume_size: str = "1Gi"
    storage_class: str | None = None


class SettingsError(ValueError):
    """The environment is not what the operator needs."""


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Reads the settings.

    Raises:
        SettingsError: a variable is missing or not JSON.
    """
    for name in ("PLAYER_IMAGE", "SHARE_IMAGE"):
        if not environment.get(name):
            what = f"the environment variable {name} is not set; the Helm chart sets it"
            raise SettingsError(what)

    return Settings(
        player_image=environment["PLAYER_IMAGE"],
        share_image=environment["SHARE_IMAGE"],
        pull_policy=environment.get("IMAGE_PULL_POLICY", Settings.pull_policy),
        pull_secrets=tuple(_from_json(environment, "IMAGE_PULL_SECRETS", [])),
        player_resources=_from_json(environment, "PLAYER_RESOURCES", DEFAULT_PLAYER_RESOURCES),
        share_resources=_from_json(environment, "SHARE_RESOURCES", DEFAULT_SHARE_RESOURCES),
        volume_size=environment.get("VOLUME_SIZE") or Settings.volume_size,
        storage_class=environment.get("STORAGE_CLASS") or Settings.storage_class,
    )


def _from_json(environment: Mapping[str, str], name: str, default: Any) -> Any:
    try:
        return json.loads(environment[name]) if environment.get(name) else default
    except json.JSONDecodeError as error:
        raise SettingsError(f"the environment variable {name} is not JSON: {error}") from None
