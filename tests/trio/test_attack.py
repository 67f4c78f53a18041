"""The attack on masks that are reused over calls works on stock TF Encrypted ABY3.

What it yields on our players is tested in worker_image/player/tests/attack.rs, where their messages
are in the clear.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

ATTACK = Path(__file__).parents[1] / "support" / "aby3_attack.py"


def attack(folder: Path, *flags: str) -> tuple[np.ndarray, np.ndarray]:
    """The victim's query, and what the attacker recovers of it from two transcripts.

    It runs in a process of its own, because TF Encrypted keeps global state.
    """
    result = folder / "result.json"
    done = subprocess.run(
        [sys.executable, str(ATTACK), str(result), *flags],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(result.read_text())
    assert outcome["error"] < 1e-3, "the function computes what it should"
    return np.array(outcome["victim"]), np.array(outcome["recovered"])


def test_two_transcripts_of_a_compiled_aby3_function_give_a_query_away(tmp_path: Path) -> None:
    victim, recovered = attack(tmp_path)
    assert np.abs(recovered - victim).max() <= 2**-15, "to the last bits of its fixed point"


def test_with_fresh_keys_for_every_call_the_same_attack_yields_noise(tmp_path: Path) -> None:
    victim, recovered = attack(tmp_path, "--fresh")
    assert np.abs(recovered - victim).min() > 1e6, (
        "32 queries of the order of 1, and no value near any"
    )
