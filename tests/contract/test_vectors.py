"""The definitions that Python and Rust share (docs/program.md): both sides read these files. The Rust half is worker_image/player/tests/contract.rs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load

from securemodel_share.artifact import read_model
from securemodel_share.compile import compile_model
from securemodel_share.shares import make_shares

VECTORS = Path(__file__).parent / "vectors"
EXPECTED = json.loads((VECTORS / "expected.json").read_text())
ROLES = ("alice", "bob", "carol")


def program():
    return compile_model(read_model((VECTORS / "model.h5").read_bytes()), 1.0)


def test_the_model_compiles_to_the_program_that_rust_reads() -> None:
    assert program().encode() == (VECTORS / "program.json").read_bytes()
    assert program().digest == EXPECTED["digest"]


def test_the_share_files_are_the_weights_and_only_together() -> None:
    files = {role: load((VECTORS / f"{role}.safetensors").read_bytes()) for role in ROLES}
    for at, fixed in program().fixed_weights().items():
        m, la, lb = files["alice"][f"{at}.m"], files["carol"][f"{at}.la"], files["carol"][f"{at}.lb"]
        assert (files["bob"][f"{at}.m"] == m).all()
        assert (files["alice"][f"{at}.la"] == la).all()
        assert (files["bob"][f"{at}.lb"] == lb).all()
        assert (m - la - lb == fixed.view(np.uint64)).all()


def test_share_files_made_today_have_the_form_of_the_vectors() -> None:
    _, made = make_shares(program())
    for role in ROLES:
        with safe_open(VECTORS / f"{role}.safetensors", "np") as file:
            metadata = file.metadata()
        stored = load((VECTORS / f"{role}.safetensors").read_bytes())
        fresh = load(made[role])
        assert {name: (a.dtype, a.shape) for name, a in fresh.items()} == {name: (a.dtype, a.shape) for name, a in stored.items()}
        assert metadata["generation"] == EXPECTED["generation"]
        assert set(metadata) == {"format", "role", "protocol", "fraction_bits", "generation", "digest", "program"}
