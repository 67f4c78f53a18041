"""Secret-shares the weights: three safetensors files, one a role (docs/program.md, Share file)."""

from __future__ import annotations

import os

import numpy as np
from safetensors.numpy import save

from .ir.ops import FRACTION_BITS
from .program import Program

ROLES = ("alice", "bob", "carol")
HELD = {"alice": ("m", "la"), "bob": ("m", "lb"), "carol": ("la", "lb")}


def uniform(shape: tuple[int, ...]) -> np.ndarray:
    """Ring elements from the system's randomness, uint64."""
    count = int(np.prod(shape))
    return np.frombuffer(os.urandom(8 * count), dtype="<u8").reshape(shape)


def make_shares(program: Program, protocol: str = "SecureNN") -> tuple[str, dict[str, bytes]]:
    """A fresh generation: its id and the file of each role. The shares are the same in every
    protocol; the files say which one to run.
    """
    generation = os.urandom(16).hex()
    parts: dict[str, dict[str, np.ndarray]] = {role: {} for role in ROLES}
    for at, fixed in program.fixed_weights().items():
        la, lb = uniform(fixed.shape), uniform(fixed.shape)
        tensors = {"m": fixed.view(np.uint64) + la + lb, "la": la, "lb": lb}  # wraps modulo 2^64
        for role in ROLES:
            for part in HELD[role]:
                parts[role][f"{at}.{part}"] = np.ascontiguousarray(tensors[part])
    encoded = program.encode().decode()
    common = {
        "format": "securemodel-shares/1",
        "protocol": protocol,
        "fraction_bits": str(FRACTION_BITS),
        "generation": generation,
        "digest": program.digest,
        "program": encoded,
    }
    return generation, {role: save(parts[role], {**common, "role": role}) for role in ROLES}
