"""Share files: they add up to the weights, and each alone is noise."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load

import networks
from securemodel_share.compile import Wanted, compile_model
from securemodel_share.readers import read_model
from securemodel_share.shares import make_shares

if TYPE_CHECKING:
    from securemodel_share.program import Program

HELD = {"alice": {"m", "la"}, "bob": {"m", "lb"}, "carol": {"la", "lb"}}


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_model(read_model(networks.make("no bias").file), Wanted()).program


def metadata(file: bytes, tmp_path) -> dict[str, str]:
    (tmp_path / "f").write_bytes(file)
    with safe_open(tmp_path / "f", "numpy") as opened:
        return dict(opened.metadata())


def test_shares_add_up_to_the_weights(program: Program) -> None:
    _, files = make_shares(program.encode(), program.fixed_weights())
    alice, bob, carol = (load(files[role]) for role in ("alice", "bob", "carol"))
    for at, weight in program.fixed_weights().items():
        m, la, lb = alice[f"{at}.m"], alice[f"{at}.la"], bob[f"{at}.lb"]
        assert m.dtype == np.uint64
        assert m.shape == program.instructions[at].shape
        np.testing.assert_array_equal((m - la - lb).view(np.int64), weight)
        np.testing.assert_array_equal(bob[f"{at}.m"], m)
        np.testing.assert_array_equal(carol[f"{at}.la"], la)
        np.testing.assert_array_equal(carol[f"{at}.lb"], lb)


def test_each_role_holds_its_two_parts_and_nothing_else(program: Program) -> None:
    _, files = make_shares(program.encode(), program.fixed_weights())
    for role, parts in HELD.items():
        assert set(load(files[role])) == {
            f"{at}.{part}" for at in program.weights for part in parts
        }


def test_masks_are_fresh_and_look_uniform(program: Program) -> None:
    first, second = (
        load(make_shares(program.encode(), program.fixed_weights())[1]["carol"]) for _ in range(2)
    )
    masks = np.concatenate([t.ravel() for t in first.values()])
    again = np.concatenate([t.ravel() for t in second.values()])
    assert len(set(masks) | set(again)) == 2 * len(masks)
    ones = np.unpackbits(masks.view(np.uint8)).mean()
    assert abs(ones - 0.5) < 6 * 0.5 / np.sqrt(64 * len(masks))


@pytest.mark.parametrize("protocol", ["SecureNN", "ASTRA"])
def test_metadata_ties_the_files_together(protocol: str, program: Program, tmp_path) -> None:
    generation, files = make_shares(program.encode(), program.fixed_weights(), protocol)
    assert len(generation) == 32
    for role, file in files.items():
        found = metadata(file, tmp_path)
        assert found["role"] == role
        assert json.loads(found.pop("program")) == json.loads(program.encode())
        expected = {
            "format": "securemodel-shares/1",
            "protocol": protocol,
            "fraction_bits": "16",
            "generation": generation,
            "digest": program.digest,
            "role": role,
        }
        assert found == expected


def test_generations_differ(program: Program) -> None:
    assert (
        make_shares(program.encode(), program.fixed_weights())[0]
        != make_shares(program.encode(), program.fixed_weights())[0]
    )


def test_no_weight_is_in_a_file(program: Program) -> None:
    """Neither as a float nor in fixed point."""
    _, files = make_shares(program.encode(), program.fixed_weights())
    for at, fixed in program.fixed_weights().items():
        largest = np.argsort(np.abs(fixed.ravel()))[-10:]
        for value in [
            *fixed.ravel()[largest],
            *program.weights[at].ravel()[largest],
            *program.weights[at].ravel()[largest].astype(np.float32),
        ]:
            assert all(value.tobytes() not in file for file in files.values())
