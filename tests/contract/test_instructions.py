"""The operations that the share step emits against contract/instructions.json, by the programs of
contract/programs/accepted. The Rust half is worker_image/player/mpc/src/tests/programs.rs.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from securemodel_share.ir import ops
from securemodel_share.program import Program
from words import FOLDER, ROOT, contents

TABLE = {row["op"]: row for row in contents("instructions.json")}
ACCEPTED = sorted((FOLDER / "programs/accepted").glob("*.json"))
MUTATIONS = ROOT / "worker_image/player/fuzz/mutate.rs"
# rewritten before there is code
REWRITTEN = {ops.AveragePool, ops.Divide, ops.MultiplyConstant}


def classes(of: type[ops.Op] = ops.Op) -> set[type[ops.Op]]:
    """All operations that have a name, which families have not."""
    found = {cls for sub in of.__subclasses__() for cls in classes(sub)}
    return found | ({of} if "name" in vars(of) else set())


EMITTED = {cls.name: cls for cls in classes() - REWRITTEN}


def operation(line: dict[str, Any]) -> ops.Op:
    """What the share step has for an instruction."""
    keys = {key: frozen(value) for key, value in line.items()}
    op, shape, _ = keys.pop("op"), keys.pop("shape"), keys.pop("in", ())
    if op == "input":
        bound = keys.pop("bound")
        keys = {"low": -bound, "high": bound} | keys
    cls = EMITTED[op]
    # these are told their shape; all others compute it
    told = {ops.Input: {"row": shape}, ops.Weight: {"of": shape}, ops.Reshape: {"to": shape}}
    return cls(**keys, **told.get(cls, {}))


def frozen(value: Any) -> Any:
    return tuple(map(frozen, value)) if isinstance(value, list) else value


def has_as_many(operands: tuple[int, ...], stated: list[str]) -> bool:
    """Three dots: and any number more of the same."""
    if stated[-1:] == ["..."]:
        return len(operands) >= len(stated) - 1
    return len(operands) == len(stated)


def test_the_share_step_has_the_instructions_of_the_contract() -> None:
    assert sorted(EMITTED) == sorted(TABLE)


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_the_share_step_writes_the_accepted_programs(path: Path) -> None:
    stored, program = json.loads(path.read_text()), Program()
    program.public = stored.get("public", {})
    for line in stored["instructions"]:
        program.append(operation(line), tuple(line.get("in", ())))
    assert json.loads(program.encode()) == stored


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_instructions_have_the_keys_and_operands_of_the_contract(path: Path) -> None:
    for line in json.loads(path.read_text())["instructions"]:
        row, keys = TABLE[line["op"]], set(operation(line).keys())
        assert keys == set(row["keys"]) | (keys & set(row.get("optional", ())))
        assert has_as_many(line.get("in", ()), row["operands"])


def test_fuzzing_knows_every_word() -> None:
    words = re.search(r'const WORDS: &str = "([^"]*)"', MUTATIONS.read_text())
    assert words is not None
    keys = {key for row in TABLE.values() for key in (*row["keys"], *row.get("optional", ()))}
    needed = {*TABLE, *keys, *contents("protocols.json")["protocols"]}
    assert needed - set(words[1].split()) == set()
