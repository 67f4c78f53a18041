"""Retries and agreement, with fake players: failures that real players cannot be made to have."""

from __future__ import annotations

import datetime as dt
import socket
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import securemodel
from securemodel import cli
from securemodel.player import Answer, Endpoint
from securemodel_operator import pki

METADATA = {
    "inputs": [{"shape": [-1, 2]}],
    "outputs": [{"shape": [-1, 2]}],
    "parameters": {
        "input_bound": 65536,
        "digest": "d",
        "max_rows": 4,
        "protocol": "SecureNN",
        "fraction_bits": 16,
    },
}


class FakePlayer:
    """Returns its share as it is: the model is the identity."""

    def __init__(self, role: str) -> None:
        self.endpoint = Endpoint(role, role, role, socket.socket)
        self.connection = None
        self.asked: list[tuple[str, np.ndarray]] = []
        self.failures: list[Exception] = []
        self.changes: dict[str, Any] = {}
        self.parameters = METADATA["parameters"]

    def metadata(self, _model: str) -> dict[str, Any]:
        return METADATA | {"parameters": self.parameters}

    def infer(self, _model: str, request_id: str, share: np.ndarray) -> Answer:
        self.asked.append((request_id, share))
        if self.failures:
            raise self.failures.pop(0)
        agreement = {
            "id": request_id,
            "generation": "g",
            "rows": len(share),
            "digest": "d",
            "epoch": "e",
            "batch": 1,
        }
        return Answer(share, agreement | self.changes, 20)

    def close(self) -> None:
        pass


@pytest.fixture
def model() -> securemodel.Model:
    ca = pki.make_ca("default/m CA", dt.datetime.now(dt.UTC)).certificate
    made = securemodel.Model(
        {role: Endpoint(role, role, role, socket.socket) for role in ("alice", "bob")}, ca, "m"
    )
    made._players = {role: FakePlayer(role) for role in ("alice", "bob")}
    return made


def refusal(code: str, *, retryable: bool) -> securemodel.PlayerError:
    return securemodel.PlayerError("alice", code, "no", retryable=retryable)


def test_more_rows_than_a_batch_are_cut(model: securemodel.Model) -> None:
    x = np.linspace(-1, 1, 22).reshape(11, 2)
    seen: list[tuple[int, int]] = []
    y = model.predict(x, progress=lambda done, rows: seen.append((done, rows)))
    assert np.abs(y - x).max() < 1e-4
    assert seen == [(4, 11), (8, 11), (11, 11)]


@pytest.mark.parametrize("code", ["wrong_shape", "too_large"])
def test_players_that_take_fewer_rows_than_before_get_smaller_batches(
    model: securemodel.Model, code: str
) -> None:
    model.metadata()
    for player in model._players.values():
        player.parameters = METADATA["parameters"] | {"max_rows": 3}
    model._players["bob"].failures = [refusal(code, retryable=False)]
    x = np.linspace(-1, 1, 14).reshape(7, 2)
    assert np.abs(model.predict(x) - x).max() < 1e-4
    assert [len(share) for _, share in model._players["bob"].asked] == [4, 3, 3, 1]


def test_another_program_is_not_taken_for_a_smaller_batch(model: securemodel.Model) -> None:
    model.metadata()
    for player in model._players.values():
        player.parameters = METADATA["parameters"] | {"max_rows": 3, "digest": "another"}
    model._players["bob"].failures = [refusal("wrong_shape", retryable=False)]
    with pytest.raises(securemodel.PlayerError, match="wrong_shape"):
        model.predict(np.ones((4, 2)))


@pytest.mark.parametrize("protocol", ["SecureNN", "ASTRA"])
def test_status_shows_the_protocol_that_the_players_run(
    model: securemodel.Model, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for player in model._players.values():
        player.parameters = METADATA["parameters"] | {"protocol": protocol}
    monkeypatch.setattr(cli, "connect", lambda *_, **__: model)
    shown = CliRunner().invoke(cli.app, ["status", "digits"])
    assert shown.exit_code == 0, shown.output
    assert f"protocol:       {protocol}\n" in shown.output


def test_players_that_run_different_protocols_are_not_asked(model: securemodel.Model) -> None:
    model._players["bob"].parameters = METADATA["parameters"] | {"protocol": "ASTRA"}
    with pytest.raises(securemodel.PlayerError, match="do not agree on protocol"):
        model.predict(np.ones((1, 2)), timeout=0.3)
    assert not model._players["alice"].asked


@pytest.mark.parametrize(
    "error", [refusal("epoch_ended", retryable=True), securemodel.UnreachableError("gone")]
)
def test_what_may_pass_is_tried_again_with_fresh_shares_and_a_fresh_id(
    model: securemodel.Model, error: Exception
) -> None:
    alice = model._players["alice"]
    alice.failures = [error]
    model.predict(np.ones((1, 2)))
    (first_id, first), (second_id, second) = alice.asked
    assert first_id != second_id
    assert (first != second).all()


def test_what_is_final_is_not_tried_again(model: securemodel.Model) -> None:
    model._players["bob"].failures = [refusal("wrong_shape", retryable=False)]
    with pytest.raises(securemodel.PlayerError, match="wrong_shape"):
        model.predict(np.ones((1, 2)))
    assert len(model._players["bob"].asked) == 1


def test_trying_again_ends_with_the_timeout(model: securemodel.Model) -> None:
    model._players["alice"].failures = [refusal("not_ready", retryable=True)] * 100
    with pytest.raises(securemodel.PlayerError, match="not_ready"):
        model.predict(np.ones((1, 2)), timeout=0.5)
    assert len(model._players["alice"].asked) < 10


@pytest.mark.parametrize("key", ["epoch", "batch", "generation", "digest", "id", "rows"])
def test_answers_that_do_not_belong_together_are_not_added(
    model: securemodel.Model, key: str
) -> None:
    model._players["bob"].changes = {key: "other"}
    with pytest.raises(securemodel.UntrustedAnswerError, match=key):
        model.predict(np.ones((1, 2)))
