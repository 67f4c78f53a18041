"""Secret-shares the weights: three safetensors files, one a role (docs/program.md, Share file)."""

from __future__ import annotations

import hashlib
import os

import numpy as np
from safetensors.numpy import save

from .ir.ops import FRACTION_BITS

# what players run, as share files say it; the first is the default
PROTOCOLS = ("SecureNN", "ASTRA")
ROLES = ("alice", "bob", "carol")
HELD = {"alice": ("m", "la"), "bob": ("m", "lb"), "carol": ("la", "lb")}


def uniform(shape: tuple[int, ...]) -> np.ndarray:
    """Ring elements from the system's randomness, uint64."""
    count = int(np.prod(shape))
    return np.frombuffer(os.urandom(8 * count), dtype="<u8").reshape(shape)


def make_shares(
    program: bytes, fixed: dict[int, np.ndarray], protocol: str = PROTOCOLS[0]
) -> tuple[str, dict[str, bytes]]:
    """A fresh generation: its id and the file of each role. The shares are the same in every
    protocol; the files say which one to run.

    Args:
        program: its canonical bytes.
        fixed: its weights by instruction, as signed ring elements, int64.
    """
    generation = os.urandom(16).hex()
    parts: dict[str, dict[str, np.ndarray]] = {role: {} for role in ROLES}
    for at, weight in fixed.items():
        la, lb = uniform(weight.shape), uniform(weight.shape)
        tensors = {"m": weight.view(np.uint64) + la + lb, "la": la, "lb": lb}  # wraps modulo 2^64
        for role in ROLES:
            for part in HELD[role]:
                parts[role][f"{at}.{part}"] = np.ascontiguousarray(tensors[part])
    common = {
        "format": "securemodel-shares/1",
        "protocol": protocol,
        "fraction_bits": str(FRACTION_BITS),
        "generation": generation,
        "digest": hashlib.sha256(program).hexdigest(),
        "program": program.decode(),
    }
    return generation, {role: save(parts[role], {**common, "role": role}) for role in ROLES}
