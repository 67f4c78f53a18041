"""From a compiled model to the players: the half of the share step that holds the share
certificate, and never opens a model file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .compiled import PROGRAM, CompiledFolder
from .deliver import Identity, Player, deliver
from .shares import make_shares

if TYPE_CHECKING:
    from .steps import Steps


@dataclass(frozen=True, kw_only=True)
class Options:
    """With whom to share. `destination`: a folder on this machine, or the players."""

    protocol: str
    destination: Path | tuple[list[Player], Identity]


def hand_over(model: CompiledFolder, given: Options, steps: Steps) -> dict[str, Any]:
    """Shares the weights and gives each player its own; what the termination message says of it.

    Raises:
        ShareError: PlayersUnreachable or SharesRefused, naming the player.
    """
    with steps.step("share", f"sharing {model.parameters} parameters"):
        generation, files = make_shares(model.program, model.weights, given.protocol)
    if isinstance(given.destination, Path):
        _write(given.destination, model.program, files)
    else:
        with steps.step("deliver", "delivering to the players"):
            deliver(files, *given.destination, steps.say)
    digest = hashlib.sha256(model.program).hexdigest()
    return {"digest": digest, "generation": generation, "parameters": model.parameters}


def _write(folder: Path, program: bytes, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PROGRAM).write_bytes(program)
    for role, file in files.items():
        (folder / f"{role}.safetensors").write_bytes(file)
