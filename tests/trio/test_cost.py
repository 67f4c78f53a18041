"""What `securemodel check` predicts of a batch is what players send and how often they wait."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import networks
from securemodel.player import Player
from securemodel_share.compile import Wanted, compile_model
from securemodel_share.cost import PROTOCOLS, cost
from securemodel_share.readers import read_here
from trio import ROLES, ROOT, Trio

DIGITS = ROOT / "examples/digits/digits.h5"


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of the bodies of answers that clients got."""
    lengths: list[int] = []
    request = Player._request

    def counted(*args, **kwargs):
        found = request(*args, **kwargs)
        lengths.append(len(found[0]))
        return found

    monkeypatch.setattr(Player, "_request", counted)
    return lengths


@pytest.fixture(params=["digits", "max pooling", "residual"])
def model(request, tmp_path: Path) -> Iterator[tuple[Path, np.ndarray]]:
    """A file, and rows."""
    if request.param == "digits":
        return DIGITS, np.zeros((5, 28, 28, 1))
    network = networks.make(request.param)
    (tmp_path / "model.h5").write_bytes(network.file)
    return tmp_path / "model.h5", network.inputs[:5]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_bytes_and_hops_are_as_predicted(protocol, model, tmp_path, answered) -> None:
    file, rows = model
    lines = compile_model(read_here(file.read_bytes()), Wanted()).program.lines
    with Trio(tmp_path, max_rows=64) as trio:
        shared = trio.share(file, protocol=protocol)
        assert shared.returncode == 0, shared.stderr
        trio.wait_ready()
        with trio.client() as client:
            for batch in (1, len(rows)):
                client.metadata()
                before = sent(trio)
                answered.clear()
                client.predict(rows[:batch])
                expected = cost(lines, protocol, batch)
                assert client.hops == expected.hops
                assert sent(trio) - before - sum(answered) == expected.sent


def sent(trio: Trio) -> int:
    """Bytes that the players have sent, once they send no more."""
    seen = -1
    while True:
        now = sum(trio.status(role)["counters"]["bytes_sent"] for role in ROLES)
        if now == seen:
            return now
        seen = now
        time.sleep(0.2)
