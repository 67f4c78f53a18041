"""Retries and agreement, with fake players: failures that real players cannot be made to have."""

from __future__ import annotations

import datetime as dt
import socket
from pathlib import Path
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


SOFTMAX = [{"function": "softmax", "axis": -1}]
PUBLIC = {"functions": SOFTMAX, "labels": ["cat", "dog"], "input_low": 0, "input_high": 2 << 16}
X = np.array([[2.0, 0.0], [0.5, 1.0]])
PROBABILITIES = np.exp(X) / np.exp(X).sum(1, keepdims=True)


def says(model: securemodel.Model, **parameters: Any) -> None:
    """Both players state these parameters beside the usual ones."""
    for player in model._players.values():
        player.parameters = METADATA["parameters"] | parameters


def test_a_prediction_is_what_the_whole_model_gives_and_raw_its_logits(
    model: securemodel.Model,
) -> None:
    says(model, **PUBLIC)
    assert model.predict(X) == pytest.approx(PROBABILITIES, abs=1e-4)
    assert (model.predict(X, raw=True) == X).all()


def test_classes_are_the_labels_of_the_largest_values(model: securemodel.Model) -> None:
    says(model, **PUBLIC)
    assert model.labels == ("cat", "dog")
    assert model.classes(model.predict(X)).tolist() == ["cat", "dog"]
    assert model.classes(np.zeros((3, 4, 2))).shape == (3, 4)


def test_classes_need_labels(model: securemodel.Model) -> None:
    assert model.labels == ()
    with pytest.raises(securemodel.InputError, match=r"0 labels.* 2 values; spec\.model\.labels"):
        model.classes(X)


def test_players_of_the_release_before_say_less(model: securemodel.Model) -> None:
    told = model.metadata()
    assert (told["functions"], told["labels"]) == ([], ())
    assert (told["input_low"], told["input_high"], told["answer_seconds"]) == (-65536, 65536, 10)


def test_the_range_of_the_input_is_the_models(model: securemodel.Model) -> None:
    says(model, **PUBLIC)
    with pytest.raises(securemodel.InputError, match=r"-0.5 at \[0, 1\].* from 0 to 2;"):
        model.predict(np.array([[0.0, -0.5]]))
    assert not model._players["alice"].asked


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("functions", [{"function": "sigmoid"}]),
        ("labels", ["dog", "cat"]),
        ("input_low", -1),
        ("answer_seconds", 99),
    ],
)
def test_what_only_one_player_says_is_not_believed(
    model: securemodel.Model, key: str, other: Any
) -> None:
    says(model, **PUBLIC)
    model._players["bob"].parameters = METADATA["parameters"] | PUBLIC | {key: other}
    with pytest.raises(securemodel.PlayerError, match=f"do not agree on {key}"):
        model.predict(X, timeout=0.3)
    assert not model._players["alice"].asked


def test_a_function_of_a_later_release_is_named_and_raw_works(model: securemodel.Model) -> None:
    says(model, functions=[{"function": "sparsemax", "axis": -1}], input_high=2 << 16)
    with pytest.raises(securemodel.UntrustedAnswerError, match=r"'sparsemax'.*needs a newer one"):
        model.predict(X)
    assert not model._players["alice"].asked, "nothing was sent"
    assert (model.predict(X, raw=True) == X).all()


@pytest.mark.parametrize(
    "parameters",
    [
        {"labels": ["cat"]},
        {"labels": 3},
        {"functions": 3},
        {"functions": ["softmax"]},
        {"answer_seconds": "soon"},
    ],
)
def test_metadata_that_does_not_hold_together_is_refused(
    model: securemodel.Model, parameters: dict[str, Any]
) -> None:
    says(model, **parameters)
    with pytest.raises(securemodel.UntrustedAnswerError, match="release"):
        model.metadata()


def cli_predict(
    model: securemodel.Model, folder: Path, monkeypatch: pytest.MonkeyPatch, *flags: str
) -> str:
    monkeypatch.setattr(cli, "connect", lambda *_, **__: model)
    np.save(folder / "x.npy", X)
    arguments = ["predict", "pets", "--input", str(folder / "x.npy"), *flags]
    shown = CliRunner().invoke(cli.app, arguments)
    assert shown.exit_code == 0, shown.output
    return shown.output


def test_predict_prints_class_and_probability(
    model: securemodel.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(model, **PUBLIC | {"labels": ["cat", "d\x1b[2Jog"]})
    first, second, third, _ = cli_predict(model, tmp_path, monkeypatch).splitlines()
    assert first.split() == ["row", "class", "largest", "softmax"]
    assert second.split() == ["0", "cat", "0.8808", "0.8808", "0.1192"]
    assert third.split() == ["1", "d?[2Jog", "0.6225", "0.3775", "0.6225"]


def test_predict_raw_prints_logits(
    model: securemodel.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(model, **PUBLIC)
    first, second, *_ = cli_predict(model, tmp_path, monkeypatch, "--raw").splitlines()
    assert first.split() == ["row", "class", "largest", "logits"]
    assert second.split() == ["0", "cat", "2.0000", "2.0000", "0.0000"]


def test_predict_without_labels_prints_places(
    model: securemodel.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(model, input_high=2 << 16)
    first, second, *_ = cli_predict(model, tmp_path, monkeypatch).splitlines()
    assert first.split() == ["row", "argmax", "largest", "values"]
    assert second.split() == ["0", "0", "2.0000", "2.0000", "0.0000"]


def test_status_shows_what_is_public(
    model: securemodel.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(model, **PUBLIC)
    monkeypatch.setattr(cli, "connect", lambda *_, **__: model)
    shown = CliRunner().invoke(cli.app, ["status", "pets"]).output
    for line in ["functions:      softmax(axis=-1)", "labels:         cat, dog"]:
        assert f"{line}\n" in shown
    assert "input_range:    0 to 2\n" in shown


@pytest.mark.parametrize(("says_seconds", "patience"), [(None, 40), (10, 40), (90, 200)])
def test_how_long_to_wait_follows_from_the_model(
    model: securemodel.Model, says_seconds: int | None, patience: float
) -> None:
    if says_seconds:
        says(model, answer_seconds=says_seconds)
    model.predict(np.ones((1, 2)))
    assert model._patience() == patience
    assert model._players["bob"].timeout == patience / 2, "of one try"


def test_fewer_rows_a_batch_take_less_time(model: securemodel.Model) -> None:
    says(model, answer_seconds=90)
    model.metadata()
    says(model, answer_seconds=40, max_rows=3)
    model._players["bob"].failures = [refusal("too_large", retryable=False)]
    assert model.predict(np.ones((4, 2))).shape == (4, 2)
    assert model._patience() == 100


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
