"""Whether a live object still is what was wanted.

Fields that nobody asked for (defaults, other managers' additions) do not count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

# what tells the items of a list apart, for lists that others may add to
_KEYS = ("uid", "name")
_QUANTITY = re.compile(r"([0-9]+(?:[.][0-9]+)?)([numkKMGTPE]?i?)")
_FACTORS = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(1000),
} | {unit: Decimal(1000) ** (power + 2) for power, unit in enumerate("MGTPE")}
_FACTORS |= {f"{unit}i": Decimal(1024) ** (power + 1) for power, unit in enumerate("KMGTPE")}


def covers(live: Any, wanted: Any) -> bool:
    """Whether every field that is wanted is there with the same value."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            key in live and covers(live[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        return (
            isinstance(live, Sequence) and not isinstance(live, str) and _lists_cover(live, wanted)
        )
    if isinstance(wanted, str) and isinstance(live, str) and wanted != live:
        return _same_quantity(wanted, live)
    return bool(wanted == live)


def _lists_cover(live: Sequence[Any], wanted: Sequence[Any]) -> bool:
    key = next(
        (
            k
            for k in _KEYS
            if wanted and all(isinstance(item, Mapping) and k in item for item in wanted)
        ),
        None,
    )
    if key is None:
        return len(wanted) == len(live) and all(
            covers(item, w) for w, item in zip(wanted, live, strict=True)
        )
    found = {item[key]: item for item in live if isinstance(item, Mapping) and key in item}
    return all(item[key] in found and covers(found[item[key]], item) for item in wanted)


def _same_quantity(a: str, b: str) -> bool:
    """The API server writes 1000m as 1."""
    found = [_QUANTITY.fullmatch(text) for text in (a, b)]
    if not all(found):
        return False
    values = [
        Decimal(match[1]) * _FACTORS[match[2]] for match in found if match and match[2] in _FACTORS
    ]
    return len(values) == len(found) and values[0] == values[1]
