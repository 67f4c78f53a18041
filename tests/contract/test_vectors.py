"""The definitions that Python and Rust share (docs/program.md): both sides read these files.

The Rust half is worker_image/player/mpc/src/tests/contract.rs. `make golden` renews what follows
from a model.h5 when it compiles to another program than the stored one.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load

import networks
from securemodel_share.program import Program
from securemodel_share.shares import make_shares

VECTORS = Path(__file__).parents[2] / "contract/vectors"
# folder: the protocol of its share files
CASES = {".": "ASTRA", "max_pool": "SecureNN"}
ROLES = ("alice", "bob", "carol")

pytestmark = pytest.mark.parametrize("case", CASES)


def program(case: str) -> Program:
    """Before powers of two move between its weights, which says nothing of their form."""
    return networks.program((VECTORS / case / "model.h5").read_bytes())


def renew(case: str, made: Program) -> None:
    """Writes everything that follows from the model."""
    generation, files = make_shares(made.encode(), made.fixed_weights(), CASES[case])
    for role, file in files.items():
        (VECTORS / case / f"{role}.safetensors").write_bytes(file)
    expected = {"digest": made.digest, "generation": generation, "protocol": CASES[case]}
    (VECTORS / case / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    (VECTORS / case / "program.json").write_bytes(made.encode())


def test_the_model_compiles_to_the_program_that_rust_reads(case: str, renew_golden: bool) -> None:
    made, path = program(case), VECTORS / case / "program.json"
    if renew_golden and not (path.exists() and path.read_bytes() == made.encode()):
        renew(case, made)
    assert made.encode() == path.read_bytes()
    assert made.digest == json.loads((VECTORS / case / "expected.json").read_text())["digest"]


def test_the_share_files_are_the_weights_and_only_together(case: str) -> None:
    files = {role: load((VECTORS / case / f"{role}.safetensors").read_bytes()) for role in ROLES}
    for at, fixed in program(case).fixed_weights().items():
        m = files["alice"][f"{at}.m"]
        la, lb = files["carol"][f"{at}.la"], files["carol"][f"{at}.lb"]
        assert (files["bob"][f"{at}.m"] == m).all()
        assert (files["alice"][f"{at}.la"] == la).all()
        assert (files["bob"][f"{at}.lb"] == lb).all()
        assert (m - la - lb == fixed.view(np.uint64)).all()


def test_share_files_made_today_have_the_form_of_the_vectors(case: str) -> None:
    compiled = program(case)
    _, made = make_shares(compiled.encode(), compiled.fixed_weights())
    expected = json.loads((VECTORS / case / "expected.json").read_text())
    for role in ROLES:
        path = VECTORS / case / f"{role}.safetensors"
        with safe_open(path, "np") as file:
            metadata = file.metadata()
        stored, fresh = load(path.read_bytes()), load(made[role])
        assert {name: (a.dtype, a.shape) for name, a in fresh.items()} == {
            name: (a.dtype, a.shape) for name, a in stored.items()
        }
        assert {key: metadata[key] for key in expected} == expected
        assert set(metadata) == {
            "format", "role", "protocol", "fraction_bits", "generation", "digest", "program",
        }  # fmt: skip
        assert (metadata["role"], metadata["protocol"]) == (role, CASES[case])
