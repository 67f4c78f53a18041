"""Epoch, batch and request keys by the formulas of docs/wire.md, written here a second time.

The Rust half, worker_image/player/link/tests/key_vectors.rs, derives the same from
contract/vectors/keys.json.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

VECTORS = Path(__file__).parents[2] / "contract/vectors/keys.json"

# what the formulas take: any values will do
SECRETS = {"ab": b"\x01" * 32, "ac": b"\x02" * 32, "bc": b"\x03" * 32}
DIGEST, GENERATION = bytes(range(32)), bytes(range(16))
# the ANNOUNCE payload of each batch: count of rows, then id, rows and number of each request
ANNOUNCEMENTS = [
    bytes.fromhex("01000000" + "05" * 16 + "01000000" + "0000000000000000"),
    bytes.fromhex(
        "03000000"
        + "06" * 16 + "02000000" + "0100000000000000"
        + "07" * 16 + "01000000" + "0200000000000000"
    ),
    bytes.fromhex("01000000" + "08" * 16 + "01000000" + "0300000000000000"),
]  # fmt: skip


def derive(secret: bytes, info: bytes, length: int, salt: bytes | None = None) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)


def link_id(secret: bytes) -> bytes:
    return derive(secret, b"id", 16)


def epoch_id() -> bytes:
    return hashlib.sha256(b"".join(map(link_id, SECRETS.values()))).digest()[:16]


def confirmation(secret: bytes, sender: str) -> bytes:
    return hmac.digest(derive(secret, b"confirm", 32, epoch_id()), sender.encode(), "sha256")


def batch_keys(secret: bytes) -> list[bytes]:
    chain, keys = derive(secret, b"chain", 32, epoch_id()), []
    for number, announcement in enumerate(ANNOUNCEMENTS):
        announced = hashlib.sha256(announcement).digest()
        info = b"batch" + number.to_bytes(8, "little") + DIGEST + GENERATION + announced
        keys.append(derive(chain, info, 16))
        chain = derive(chain, b"next", 32)
    return keys


def request_keys(count: int) -> list[bytes]:
    chain, keys = derive(SECRETS["bc"], b"requests", 32, epoch_id()), []
    for number in range(count):
        info = b"request" + number.to_bytes(8, "little") + DIGEST + GENERATION
        keys.append(derive(chain, info, 16))
        chain = derive(chain, b"next", 32)
    return keys


def vectors() -> dict[str, object]:
    ends = {"ab": ("alice", "bob"), "ac": ("alice", "carol"), "bc": ("bob", "carol")}
    return {
        "digest": DIGEST.hex(),
        "generation": GENERATION.hex(),
        "epoch": epoch_id().hex(),
        "announcements": [payload.hex() for payload in ANNOUNCEMENTS],
        "links": {
            name: {
                "secret": secret.hex(),
                "id": link_id(secret).hex(),
                "confirmations": {role: confirmation(secret, role).hex() for role in ends[name]},
                "batch_keys": [key.hex() for key in batch_keys(secret)],
            }
            for name, secret in SECRETS.items()
        },
        "request_keys": [key.hex() for key in request_keys(3)],
    }


def test_keys_are_derived_as_the_vectors_say(renew_golden: bool) -> None:
    if renew_golden:
        VECTORS.write_text(json.dumps(vectors(), indent=1) + "\n")
    assert json.loads(VECTORS.read_text()) == vectors()
