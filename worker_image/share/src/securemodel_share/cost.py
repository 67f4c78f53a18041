"""What a program costs, from its instructions alone: multiplications and comparisons, what players
send and how often they wait (docs/protocol.md, Cost and Order and packing of messages), and the
time that follows (docs/performance.md, Cost model).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# as a program's document has them (docs/program.md)
Instructions = Sequence[Mapping[str, Any]]

# a client's request and the answer to it
CLIENT_HOPS = 2
# elements of a block, and of a word of bit planes; bytes of a word
BLOCK, PLANE, WORD = 512, 64, 8
# docs/wire.md, Links between players: before the payload of a frame; of an announced request
FRAME, ANNOUNCED, COUNT = 20, 28, 4
# tree of ASTRA: leaves, products of both levels, R_31; SecureNN: bits of R in triples of digits
LEAVES, PRODUCTS, TOP_BIT, TRIPLES = 112, 38, 1, 11
# of both levels and of the result
FACTORS = (13, 2, 1)


# words of a part of a message, for n elements of a block
Part = Callable[[int], int]
# (who sends it: 1, or 2 where both do; its parts)
Messages = list[tuple[int, list[Part]]]


@dataclass(frozen=True, kw_only=True)
class Work:
    """Of one row."""

    macs: int
    relus: int


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Nanoseconds a multiplication, nanoseconds a comparison, microseconds a hop."""

    mac_ns: float
    relu_ns: float
    hop_us: float

    def predict_ms(self, work: Work, batch: int, hops: int) -> float:
        """Milliseconds of a request of `batch` rows."""
        row = self.mac_ns * work.macs + self.relu_ns * work.relus
        return batch * row * 1e-6 + hops * self.hop_us * 1e-3


# measured: docs/performance.md, Figures
RATES = {
    "SecureNN": Rates(mac_ns=0.22, relu_ns=161, hop_us=38),
    "ASTRA": Rates(mac_ns=0.16, relu_ns=95, hop_us=36),
}
PROTOCOLS = tuple(RATES)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A batch under a protocol. `sent`: bytes between players; `client`: bytes of input and output
    shares, to and from it; `memory`: about what a player takes, at most, in bytes.
    """

    protocol: str
    batch: int
    hops: int
    sent: int
    client: int
    memory: int
    ms: float

    def ms_at(self, delay_ms: float) -> float:
        """Milliseconds where each message takes that much longer, one way."""
        return self.ms + self.hops * delay_ms


def cost(instructions: Instructions, protocol: str, batch: int) -> Cost:
    """Of a batch of `batch` rows."""
    hops = CLIENT_HOPS + sum(_hops(line, protocol) for line in instructions)
    hops += _waits_for_carol(instructions)
    sent = sum(_sent(line, protocol, batch) for line in instructions)
    elements = _size(instructions[0]) + _size(instructions[-1])
    return Cost(
        protocol=protocol,
        batch=batch,
        hops=hops,
        sent=sent,
        client=2 * WORD * batch * elements,
        memory=IDLE + stored(instructions) + round(MEMORY * sent),
        ms=RATES[protocol].predict_ms(count(instructions), batch, hops),
    )


# in the clear, beside its multiplications
ELEMENT = 20
# a player without a batch; the largest that was measured beside it, of what a batch sends
IDLE, MEMORY = 8_000_000, 2.5


def stored(instructions: Instructions) -> int:
    """Bytes of a share file: two ring elements a weight. While a new one arrives there are two."""
    return 2 * WORD * sum(_size(line) for line in instructions if line["op"] == "weight")


def count(instructions: Instructions) -> Work:
    """Multiplications and comparisons."""
    macs = relus = 0
    for line in instructions:
        match line["op"]:
            case "conv2d":
                macs += _size(line) * math.prod(_operand(instructions, line, 1)[:3])
            case "matmul":
                macs += _size(line) * _operand(instructions, line, 1)[0]
            case "multiply":
                macs += _size(line)
            case "relu" | "truncate_relu":
                relus += _size(line)
            case "max_pool":
                relus += _size(line) * (math.prod(line["window"]) - 1)
    return Work(macs=macs, relus=relus)


def effort(instructions: Instructions) -> float:
    """Of one row in the clear, in multiplications: every element costs some."""
    values = sum(_size(line) for line in instructions if line["op"] != "weight")
    return count(instructions).macs + ELEMENT * values


def _size(line: Mapping[str, Any]) -> int:
    return math.prod(line["shape"])


def _operand(instructions: Instructions, line: Mapping[str, Any], at: int) -> list[int]:
    shape: list[int] = instructions[line["in"][at]]["shape"]
    return shape


def _hops(line: Mapping[str, Any], protocol: str) -> int:
    relu = {"SecureNN": 3, "ASTRA": 4}[protocol]
    return {
        "input": 2,
        "truncate": 2,
        "truncate_output": 1,
        "relu": relu,
        "truncate_relu": 1 + relu,
        "max_pool": relu * len(_levels(math.prod(line.get("window", ())))),
    }.get(line["op"], 0)


def _waits_for_carol(instructions: Instructions) -> bool:
    """Whether the input itself is compared: carol hears of a batch with bob, so what she deals for
    a comparison comes a hop after the input; an opening before it gives her that time.
    """
    sending = [line["op"] for line in instructions if _hops(line, PROTOCOLS[0])]
    return sending[1:2] in (["relu"], ["max_pool"])


def _levels(window: int) -> list[int]:
    """The pairs of each level of a tournament among `window` values."""
    pairs = []
    while window > 1:
        pairs.append(window // 2)
        window -= window // 2
    return pairs


def _sent(line: Mapping[str, Any], protocol: str, batch: int) -> int:
    """Bytes of all frames."""
    elements = batch * _size(line)
    if line["op"] == "input":
        announced = 2 * (FRAME + COUNT + ANNOUNCED) + ANNOUNCED
        return announced + 2 * (FRAME + WORD * elements)
    return sum(_frames(part, elements * times) for part, times in _exchanges(line, protocol))


def _exchanges(line: Mapping[str, Any], protocol: str) -> list[tuple[Messages, int]]:
    """Messages, and the elements that they are about for each element of the result."""
    shift = line.get("shift", 0)
    relu = _comparison(protocol) + MASKED
    return {
        "truncate": [(_truncation(shift) + MASKED, 1)],
        "truncate_output": [(_truncation(shift), 1)],
        "relu": [(relu, 1)],
        "truncate_relu": [(_joined(protocol, shift) + MASKED, 1)],
        "max_pool": [(relu, pairs) for pairs in _levels(math.prod(line.get("window", ())))],
    }.get(line["op"], [])


def _words(n: int) -> int:
    return n


def _planes(bits: int) -> Part:
    return lambda n: bits * -(-n // PLANE)


def _triples(count: int) -> Part:
    return lambda n: count * -(-n // 4)


OPENING: Messages = [(2, [_words])]
MASKED: Messages = [(2, [_words])]


def _truncation(shift: int) -> Messages:
    return [(1, [_words, _planes(shift + 1)]), *OPENING]


def _comparison(protocol: str, *more: Part) -> Messages:
    """`more`: what is dealt beside ⟨s⟩ and ⟨s·R⟩."""
    selection: list[Part] = [_words, _words, *more]
    if protocol == "SecureNN":
        digits = _triples(TRIPLES)
        return [(1, [digits]), (2, [digits]), (1, selection)]
    dealt: list[Part] = [_planes(LEAVES + PRODUCTS + TOP_BIT), *selection]
    return [(1, dealt), *((2, [_planes(bits)]) for bits in FACTORS)]


def _joined(protocol: str, shift: int) -> Messages:
    """A truncation and a comparison, which are dealt in one message."""
    (_, truncation), *opening = _truncation(shift)
    (_, comparison), *others = _comparison(protocol, _planes(shift + 1))
    return [(1, truncation + comparison), *opening, *others]


def _frames(messages: Messages, elements: int) -> int:
    return sum(senders * (FRAME + WORD * _length(parts, elements)) for senders, parts in messages)


def _length(parts: Iterable[Part], elements: int) -> int:
    """Words of a message, block after block."""
    whole, rest = divmod(elements, BLOCK)
    return sum(whole * part(BLOCK) + part(rest) for part in parts)
