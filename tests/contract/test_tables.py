"""What the documents say of shared words, against contract/."""

from __future__ import annotations

import re
from typing import Any

import pytest

from words import contents, document, table

REASONS = contents("reasons.json")
CONTRACT = contents("protocols.json")
PROTOCOLS, DEFAULT = CONTRACT["protocols"], CONTRACT["default"]


def told_reasons() -> list[tuple[str, str, bool]]:
    """Condition, reason and whether it is final, as operators read them."""
    told, condition = [], ""
    for named, words, meaning in table("operations.md", "condition | reason"):
        condition = named or condition
        told += [(condition, word, "Final" in meaning) for word in words.split(", ")]
    return told


def test_operators_are_told_of_every_reason_that_is_not_good() -> None:
    needed = [
        (row["condition"], row["word"], row["outlook"] == "final")
        for row in REASONS
        if row["outlook"] != "good"
    ]
    assert sorted(told_reasons()) == sorted(needed)


def test_the_reasons_of_players_are_those_of_the_document() -> None:
    line = re.search(r"^`reason`: (.*)\.$", document("wire.md"), re.MULTILINE)
    assert line is not None
    needed = [row["word"] for row in REASONS if "player" in row["said_by"]]
    assert sorted(re.findall(r"`([A-Z]\w+)`", line[1])) == sorted(needed)


def test_the_error_codes_are_those_of_the_document() -> None:
    told = [
        {"code": code, "status": int(status), "retryable": {"yes": True, "no": False}[again]}
        for code, status, again, _ in table("wire.md", "code | status | retryable")
    ]
    assert told == contents("error_codes.json")


def test_the_instructions_are_those_of_the_document() -> None:
    told = [
        told_instruction(op, keys, form)
        for op, _, keys, form, _ in table("program.md", "op | in | more keys")
    ]
    assert told == contents("instructions.json")


def told_instruction(op: str, keys: str, form: str) -> dict[str, Any]:
    """A row of program.md as contract/instructions.json has it."""
    needed, _, optional = (re.findall(r"`(\w+)`", part) for part in keys.partition("optional"))
    operands, result = form.split("→")  # a form that ends with the arrow goes to the client
    row = {
        "op": op,
        "operands": [form.strip() for form in operands.split(",") if form.strip()],
        "keys": needed,
        "result": result.strip() or None,
    }
    return row | ({"optional": optional} if optional else {})


def test_an_instruction_names_as_many_operands_as_it_has() -> None:
    rows = zip(
        table("program.md", "op | in | more keys"), contents("instructions.json"), strict=True
    )
    for (op, operands, *_), row in rows:
        assert len(operands.split(", ") if operands else []) == len(row["operands"]), op


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("program.md", "`protocol` (" + " or ".join(f"`{name}`" for name in PROTOCOLS) + ")"),
        ("wire.md", '"protocol": ' + " | ".join(f'"{name}"' for name in PROTOCOLS) + " | null"),
        (
            "operations.md",
            "`spec.protocol` is "
            + " or ".join(f"`{p}`{' (default)' if p == DEFAULT else ''}" for p in PROTOCOLS)
            + ".",
        ),
    ],
)
def test_the_documents_name_the_protocols(name: str, sentence: str) -> None:
    assert sentence in document(name)
