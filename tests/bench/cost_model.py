"""Time of a request = a * multiplications + b * ReLUs + c * hops.

Fitted on small networks, to predict larger ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls


@dataclass(frozen=True)
class Model:
    """Nanoseconds a multiplication, nanoseconds a ReLU, microseconds a hop."""

    mac_ns: float
    relu_ns: float
    hop_us: float

    def predict_ms(self, line: dict[str, Any]) -> float:
        return float(terms(line) @ [self.mac_ns, self.relu_ns, self.hop_us])


def terms(line: dict[str, Any]) -> np.ndarray:
    """Milliseconds a unit of each coefficient adds to this line's request."""
    return np.array(
        [
            line["batch"] * line["macs"] * 1e-6,
            line["batch"] * line["relus"] * 1e-6,
            line["hops"] * 1e-3,
        ]
    )


def fit(lines: list[dict[str, Any]]) -> Model:
    """Least squares of the relative errors, no coefficient below zero."""
    rows = np.array([terms(line) / line["p50_ms"] for line in lines])
    return Model(*nnls(rows, np.ones(len(rows)))[0])
