"""The cost that is predicted: by the table of docs/protocol.md, at the rates of performance.md.
Three real players are compared with it in tests/trio/test_cost.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from securemodel_share import shares
from securemodel_share.cost import FRAME, PROTOCOLS, RATES, cost, count, effort, stored

DOCS = Path(__file__).resolve().parents[3] / "docs"
# whole blocks of messages, so that nothing is padded
ELEMENTS = 1024
SHIFT = 20
INPUT = {"op": "input", "shape": [ELEMENTS]}


def table() -> list[tuple[str, str, int, int]]:
    """Of each instruction and protocol: bits that all players send an element, and hops."""
    text = (DOCS / "protocol.md").read_text().split("## Cost and what each party sees")[1]
    rows, op = [], ""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) < 6 or not re.search(r"\d", cells[5]):
            continue
        op = cells[0].split(",")[0] or op
        if op in ("truncate", "relu", "truncate_relu", "truncate_output"):
            both, to_carol, from_carol = (_bits(cell) for cell in cells[2:5])
            bits = 2 * both + 2 * to_carol + from_carol
            protocols = PROTOCOLS if cells[1] == "both" else (cells[1],)
            rows += [(op, protocol, bits, int(cells[5])) for protocol in protocols]
    return rows


def _bits(cell: str) -> int:
    """345 + 2s, for a shift of SHIFT."""
    terms = re.findall(r"(\d*)(s?)", cell.replace(" ", "").replace("+", " "))
    return sum(int(number or 1) * (SHIFT if s else 1) for number, s in terms if number or s)


@pytest.mark.parametrize(("op", "protocol", "bits", "hops"), table())
def test_an_instruction_costs_what_the_protocol_says(
    op: str, protocol: str, bits: int, hops: int
) -> None:
    line = {"op": op, "shape": [ELEMENTS], "shift": SHIFT, "in": [0]}
    before, after = (cost(lines, protocol, 1) for lines in ([INPUT], [INPUT, line]))
    compares_first = op == "relu"  # carol deals as late as the input comes
    assert after.hops - before.hops == hops + compares_first
    # each message is a frame; there are seven or fewer of an instruction
    frames, rest = divmod(after.sent - before.sent - bits * ELEMENTS // 8, FRAME)
    assert rest == 0
    assert 0 < frames < 14


def test_the_table_has_all_rows() -> None:
    assert {(op, protocol) for op, protocol, *_ in table()} == {
        (op, protocol)
        for op in ("truncate", "relu", "truncate_relu", "truncate_output")
        for protocol in PROTOCOLS
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pooling_is_a_tournament(protocol: str) -> None:
    def at(op: str, elements: int, **more: Any) -> tuple[int, int]:
        truncate = {"op": "truncate", "shape": [elements], "shift": 0, "in": [0]}
        line = {"op": op, "shape": [elements], "in": [1], **more}
        before, after = (cost([INPUT, truncate, *lines], protocol, 1) for lines in ([], [line]))
        return after.sent - before.sent, after.hops - before.hops

    levels = [at("relu", elements) for elements in (512 * 2, 512, 512)]  # 5 values: 2, 1, 1 pairs
    found = at("max_pool", 512, window=[1, 5])
    assert found == (sum(sent for sent, _ in levels), sum(hops for _, hops in levels))


def test_rates_are_those_of_the_documentation() -> None:
    text = (DOCS / "performance.md").read_text()
    form = r"securemodel-(\w+): ([\d.]+) ns a multiplication, (\d+) ns a ReLU, (\d+) µs a hop"
    said = {name: tuple(map(float, figures)) for name, *figures in re.findall(form, text)}
    assert said == {
        name.lower(): (rates.mac_ns, rates.relu_ns, rates.hop_us) for name, rates in RATES.items()
    }


def test_every_protocol_has_a_cost() -> None:
    assert PROTOCOLS == shares.PROTOCOLS


def test_work_is_counted() -> None:
    lines = [
        {"op": "input", "shape": [6, 6, 4]},
        {"op": "weight", "shape": [3, 3, 2, 8]},
        {"op": "conv2d", "shape": [4, 4, 8], "groups": 2, "in": [0, 1]},
        {"op": "truncate_relu", "shape": [4, 4, 8], "shift": 20, "in": [2]},
        {"op": "max_pool", "shape": [2, 2, 8], "window": [2, 2], "in": [3]},
        {"op": "weight", "shape": [8]},
        {"op": "multiply", "shape": [2, 2, 8], "in": [4, 5]},
        {"op": "weight", "shape": [8, 3]},
        {"op": "matmul", "shape": [2, 2, 3], "in": [6, 7]},
    ]
    work = count(lines)
    assert work.macs == 4 * 4 * 8 * 18 + 32 + 12 * 8
    assert work.relus == 4 * 4 * 8 + 32 * 3
    assert stored(lines) == 16 * (144 + 8 + 24)
    assert effort(lines) > work.macs


def test_a_delay_counts_for_every_hop() -> None:
    found = cost([INPUT, {"op": "truncate_output", "shape": [4], "shift": 4}], "ASTRA", 3)
    assert found.hops == 2 + 2 + 1
    assert found.ms_at(20) == pytest.approx(found.ms + 100)
