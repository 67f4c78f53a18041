"""The whole path in processes on one machine: share step, three players, client."""

from __future__ import annotations

import json
import signal
import threading
import time

import numpy as np
import pytest

import networks
import reference
import securemodel
from trio import ROLES, Trio


def test_all_held_out_digits_are_classified_as_in_the_clear(trio: Trio) -> None:
    images, _ = reference.digits()
    expected = reference.logits(images)
    with trio.client() as model:
        private = model.predict(images)
    assert (private.argmax(1) == expected.argmax(1)).all()
    assert np.abs(private - expected).max() <= 1e-3


@pytest.mark.parametrize("name", networks.NAMES)
def test_random_networks_agree_with_the_clear(name: str, tmp_path) -> None:
    network = networks.make(name)
    path = tmp_path / "model.h5"
    path.write_bytes(network.file)
    expected = reference.predict(network.file, network.inputs)
    with Trio(tmp_path, max_rows=64) as trio:
        shared = trio.share(path)
        assert shared.returncode == 0, shared.stderr
        trio.wait_ready()
        with trio.client() as model:
            private = model.predict(network.inputs)
    assert np.abs(private - expected).max() <= 1e-3 * max(1.0, np.abs(expected).max())


def test_two_clients_at_once_get_their_own_rows(trio: Trio) -> None:
    images, _ = reference.digits()
    expected = reference.logits(images)
    errors: list[float] = []

    def ask(start: int) -> None:
        with trio.client() as model:
            for i in range(start, start + 40, 4):
                private = model.predict(images[i : i + 3])
                errors.append(float(np.abs(private - expected[i : i + 3]).max()))

    threads = [threading.Thread(target=ask, args=(40 * n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(errors) == 60
    assert max(errors) <= 1e-3


def test_players_report_what_they_serve(trio: Trio) -> None:
    reports = [trio.status(role) for role in ROLES]
    assert len({(r["digest"], r["generation"], r["epoch"]) for r in reports}) == 1
    assert all(r["reason"] == "Serving" for r in reports)
    result = json.loads((trio.folder / "termination").read_text())
    for key in ("digest", "generation"):
        assert result[key] == reports[0][key]


@pytest.mark.parametrize("role", ROLES)
def test_any_player_may_die_while_requests_run(trio: Trio, role: str) -> None:
    images = reference.digits()[0][:3]
    expected = reference.logits(images)
    generation = trio.status("alice")["generation"]
    errors: list[float] = []
    failures: list[tuple[float, Exception]] = []
    stop = threading.Event()

    def ask(timeout: float) -> None:
        with trio.client() as model:
            while not stop.is_set():
                begin = time.monotonic()
                try:
                    private = model.predict(images, timeout=timeout)
                    errors.append(float(np.abs(private - expected).max()))
                except securemodel.SecureModelError as error:
                    failures.append((time.monotonic() - begin, error))

    # one client tries again for long enough, the other shows the errors as they are
    patient = threading.Thread(target=ask, args=(30,))
    impatient = threading.Thread(target=ask, args=(0,))
    patient.start()
    impatient.start()
    time.sleep(0.5)

    trio.kill(role)
    time.sleep(1.0)
    trio.start(role)
    trio.wait_ready()
    before = len(errors)
    trio.wait(lambda: len(errors) > before + 10, 20, "predictions after the restart")
    stop.set()
    patient.join(40)
    impatient.join(40)

    assert max(errors) <= 1e-3, "never a wrong number"
    assert failures, "the client that does not try again has seen the loss"
    for seconds, error in failures:
        assert seconds < 10, f"{error} after {seconds:.1f} s"
        assert isinstance(error, securemodel.UnreachableError) or (
            isinstance(error, securemodel.PlayerError) and error.retryable
        ), error
    assert trio.status("alice")["generation"] == generation, "the kept shares are served"


@pytest.mark.parametrize("role", ROLES)
def test_a_frozen_player_is_an_error_within_ten_seconds_and_no_hang(trio: Trio, role: str) -> None:
    images = reference.digits()[0][:1]
    with trio.client() as model:
        model.predict(images)
        trio.processes[role].send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        try:
            with pytest.raises((securemodel.PlayerError, securemodel.UnreachableError)):
                model.predict(images, timeout=8)
            assert time.monotonic() - begin < 10
        finally:
            trio.processes[role].send_signal(signal.SIGCONT)
        assert np.abs(model.predict(images, timeout=30) - reference.logits(images)).max() <= 1e-3


def test_a_new_generation_replaces_the_old_one(trio: Trio) -> None:
    images = reference.digits()[0][:3]
    before = trio.status("carol")["generation"]
    assert trio.share(reference.DIGITS / "digits.h5").returncode == 0
    trio.wait_ready()
    assert trio.status("carol")["generation"] != before
    with trio.client() as model:
        assert np.abs(model.predict(images) - reference.logits(images)).max() <= 1e-3
