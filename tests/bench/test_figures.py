"""What the benchmark computes from its measurements."""

from __future__ import annotations

from pathlib import Path

import cost_model
import nets
import numpy as np
import profile_players
import pytest
import report
from lines import Lines

import networks
import reference
from securemodel_share.compile import Wanted, compile_model
from securemodel_share.cost import Rates, Work, count
from securemodel_share.readers import read_model


def test_the_cost_of_the_example_network_is_what_its_compiled_program_does() -> None:
    program = compile_model(read_model(networks.make("seed").file), Wanted()).program
    assert count(program.lines) == Work(macs=106_282, relus=2_554)


def test_weights_for_deep_networks_keep_values_alive() -> None:
    draw = nets.provable(np.random.default_rng(3))
    layers = [*nets.convs(16, 16, 16, 16, 16, 16, 16, 16), nets.FLATTEN, nets.dense(10)]
    y = reference.predict(
        networks.keras_file((20, 20, 3), layers, draw),
        np.random.default_rng(4).uniform(0, 1, (2, 20, 20, 3)),
    )
    assert 0.01 < np.abs(y).mean() < 100


def test_the_fit_finds_the_coefficients_that_made_the_times() -> None:
    lines = [
        {"batch": b, "macs": m, "relus": r, "hops": 20}
        for b, m, r in ((1, 1e5, 2e3), (8, 1e5, 2e3), (1, 5e6, 1e3), (4, 2e7, 7e4))
    ]
    true = Rates(mac_ns=1.5, relu_ns=400, hop_us=60)
    timed = [line | {"p50_ms": cost_model.predict_ms(true, line)} for line in lines]
    fitted = cost_model.fit(timed)
    assert [fitted.mac_ns, fitted.relu_ns, fitted.hop_us] == pytest.approx([1.5, 400, 60])


def test_samples_are_grouped_by_what_the_function_is_for() -> None:
    table = """
    20.00%  [k] finish_task_switch.isra.0
    15.50%  [.] securemodel_mpc::simd::level::avx512
    10.00%  [.] <aes::autodetect::Aes128 as cipher::block::BlockEncrypt>::encrypt_with_backend
     5.00%  [.] ring_core_0_17_14__aes_gcm_enc_update_vaes_avx2
     4.00%  [.] __memmove_avx512_unaligned_erms
     3.00%  [k] tcp_sendmsg_locked
     1.00%  [.] something_else"""
    found = profile_players.grouped(table)
    assert found == {
        "PRG": 10,
        "TLS": 5,
        "compute": 15.5,
        "memory": 4,
        "scheduler": 20,
        "network": 3,
        "other": 1,
    }


def test_a_goal_says_by_how_much_it_is_missed() -> None:
    verdicts = [
        report.Goal("latency", 4.5, 3, "ms", wanted=2).verdict(),
        report.Goal("latency", 2.5, 3, "ms", wanted=2).verdict(),
        report.Goal("latency", 1.5, 3, "ms", wanted=2).verdict(),
        report.Goal("throughput", 400, 800, "/s", at_least=True).verdict(),
    ]
    assert verdicts == [
        "**no**, 1.50 times off",
        "yes, not the wanted",
        "yes",
        "**no**, 2.00 times off",
    ]


def test_lines_keep_every_column_and_one_line_a_case(tmp_path: Path) -> None:
    lines = Lines("a processor")
    lines.add("securemodel-astra", "seed", 1, p50_ms=1.23456)
    lines.add("securemodel-astra", "seed", 1, load={"per_second": 812.34567})
    lines.add("securemodel-astra", "seed", 1, 0.5, p50_ms=12.0)
    lines.save(tmp_path / "bench.jsonl")
    loaded = Lines.load(tmp_path / "bench.jsonl")
    assert loaded.lines == lines.lines
    undelayed = loaded.get("securemodel-astra", "seed", 1)
    assert undelayed is not None
    assert undelayed["p50_ms"] == 1.235
    assert undelayed["bytes"] is None
    assert undelayed["load"] == {"per_second": 812.346}
