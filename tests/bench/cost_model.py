"""Fits the time of a request, a * multiplications + b * ReLUs + c * hops, on small networks, to
predict larger ones. The model itself is the share step's (`securemodel check` predicts by it).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import nnls

from securemodel_share.cost import Rates, Work

UNITS = (
    Rates(mac_ns=1, relu_ns=0, hop_us=0),
    Rates(mac_ns=0, relu_ns=1, hop_us=0),
    Rates(mac_ns=0, relu_ns=0, hop_us=1),
)


def predict_ms(rates: Rates, line: dict[str, Any]) -> float:
    """Of this line's request."""
    return rates.predict_ms(
        Work(macs=line["macs"], relus=line["relus"]), line["batch"], line["hops"]
    )


def fit(lines: list[dict[str, Any]]) -> Rates:
    """Least squares of the relative errors, no coefficient below zero."""
    terms = [[predict_ms(unit, line) / line["p50_ms"] for unit in UNITS] for line in lines]
    mac_ns, relu_ns, hop_us = nnls(np.array(terms), np.ones(len(lines)))[0]
    return Rates(mac_ns=mac_ns, relu_ns=relu_ns, hop_us=hop_us)
