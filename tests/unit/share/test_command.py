"""The command as users and the operator run it."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load

import networks
import reference
from securemodel_share import __main__ as command
from securemodel_share import compile as compiler
from securemodel_share.errors import ShareError
from securemodel_share.steps import Steps
from tls_server import Answer, TlsServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("no_environment")

DIGITS = reference.DIGITS / "digits.h5"
GOLDEN = Path(__file__).parent / "golden" / "digits.json"
PLANTED = 0.7283019


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def share(tmp_path: Path) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Runs the command in this process: exit status and termination message."""

    def run(
        model: Path | str, *extra: str, digest: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        message = tmp_path / "termination"
        message.unlink(missing_ok=True)
        digest = digest or sha256(Path(model))
        status = command.main(
            [
                "run",
                "--model",
                str(model),
                "--sha256",
                digest,
                "--termination-message",
                str(message),
                *extra,
            ]
        )
        assert message.stat().st_size <= 4096
        return status, json.loads(message.read_text())

    return run


@pytest.fixture
def players(tls: Path, tmp_path: Path) -> Iterator[tuple[dict[str, TlsServer], tuple[str, ...]]]:
    """Three servers that take shares, and the options that lead there."""
    with ExitStack() as stack:
        servers = {
            role: stack.enter_context(TlsServer(tls / role, {"/v1/shares": Answer(200, b"{}")}))
            for role in ("alice", "bob", "carol")
        }
        cluster = tmp_path / "cluster.json"
        addresses = {role: f"localhost:{server.port}" for role, server in servers.items()}
        cluster.write_text(json.dumps(addresses))
        yield servers, ("--cluster", str(cluster), "--tls", str(tls / "share"))


def module(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "securemodel_share", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_share_files_are_written_by_the_command(tmp_path: Path) -> None:
    """In a process of its own, as a user runs it: nothing but progress is printed."""
    message = tmp_path / "termination"
    done = module(
        "run",
        "--model",
        str(DIGITS),
        "--sha256",
        sha256(DIGITS),
        "--out",
        str(tmp_path / "out"),
        "--termination-message",
        str(message),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert all(line.startswith("share: ") for line in done.stderr.splitlines()), done.stderr
    result = json.loads(message.read_text())
    assert result["digest"] == json.loads(GOLDEN.read_text())["digest"]
    assert result["parameters"] == 22158
    assert set(result["seconds"]) == {"fetch", "read", "compile", "share"}
    assert (
        hashlib.sha256((tmp_path / "out/program.json").read_bytes()).hexdigest() == result["digest"]
    )
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "program.json",
        "alice.safetensors",
        "bob.safetensors",
        "carol.safetensors",
    }


def test_help_and_a_wrong_hash_need_no_tensorflow() -> None:
    script = (
        "import sys; from securemodel_share.__main__ import main; {}; sys.exit('tensorflow' "
        "in sys.modules)"
    )
    wrong = f"main(['run', '--model', {str(DIGITS)!r}, '--sha256', '0' * 64, '--out', '/nowhere'])"
    assert (
        subprocess.run(
            [sys.executable, "-c", script.format(wrong)], check=False, capture_output=True
        ).returncode
        == 0
    )
    listed = module("--help").stdout
    assert all(name in listed for name in ("compile", "deliver", "run"))
    begin = time.monotonic()
    shown = module("compile", "--help")
    assert shown.returncode == 0
    assert "--input-bound" in shown.stdout
    assert time.monotonic() - begin < 5


def test_players_get_their_shares(share: Callable[..., Any], players: Any) -> None:
    servers, to = players
    status, result = share(DIGITS, *to)
    assert status == 0
    assert set(result["seconds"]) == {"fetch", "read", "compile", "share", "deliver"}
    m, la, lb = (
        load(servers[role].requests[0].body)[name]
        for role, name in (("alice", "2.m"), ("carol", "2.la"), ("bob", "2.lb"))
    )
    kernel = reference.model().layers[1].weights["kernel"]
    np.testing.assert_allclose((m - la - lb).view(np.int64) / 2**20, kernel, atol=2**-20)


def stored(tmp_path: Path, value: float, layers: list[Any] | None = None) -> Path:
    path = tmp_path / "model.h5"
    path.write_bytes(
        networks.keras_file((4,), layers or [networks.dense(2)], lambda s: np.full(s, value))
    )
    return path


def test_each_failure_has_its_reason_and_status(share: Callable[..., Any], tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "out"))
    lambda_layer = stored(tmp_path, 1.0, [("Lambda", {}), networks.dense(2)])
    cases = [
        (share(tmp_path / "none.h5", *out, digest="0" * 64), "ArtifactNotFound", "none.h5"),
        (share(DIGITS, *out, digest="0" * 64), "HashMismatch", sha256(DIGITS)),
        (share(Path(__file__), *out), "InvalidModel", "not an HDF5 file"),
        (share(lambda_layer, *out), "UnsupportedLayer", "'lambda_0' (Lambda)"),
        (share(stored(tmp_path, np.nan), *out), "WeightsOutOfRange", "'dense_0'"),
        (share(stored(tmp_path, 1e12), *out), "WeightsOutOfRange", "'dense_0'"),
        (
            share(stored(tmp_path, 2e4, [networks.dense(2, activation="relu")]), *out),
            "RangeOverflow",
            "'dense_0'",
        ),
        (share(DIGITS, *out, "--input-bound", "nan"), "RangeOverflow", "nan to nan"),
        (share(DIGITS, *out, "--input-bound", "40000"), "RangeOverflow", "-40000 to 40000"),
        (
            share(DIGITS, *out, "--protocol", "GMW"),
            "InternalError",
            "'GMW' is not known to this release; use SecureNN, ASTRA",
        ),
        (share(DIGITS), "InternalError", "--cluster and --tls, or --out"),
    ]
    for (status, result), reason, says in cases:
        assert (status, result["reason"], result["retryable"]) == (2, reason, False), result
        assert says in result["message"]
    assert not (tmp_path / "out").exists()


def test_what_may_heal_is_marked_retryable(share: Callable[..., Any], tls: Path) -> None:
    with TlsServer(tls / "alice", {"/model.h5": Answer(503)}) as server:
        source = ("--ca-bundle", str(tls / "alice/ca.crt"), "--allow-loopback", "--out", "unused")
        status, result = share(server.url("/model.h5"), *source, digest="0" * 64)
    assert (status, result["reason"], result["retryable"]) == (1, "FetchFailed", True)


def test_an_artifact_over_https_is_shared(
    share: Callable[..., Any], tls: Path, tmp_path: Path
) -> None:
    with TlsServer(tls / "alice", {"/m.h5": Answer(200, DIGITS.read_bytes())}) as server:
        options = (
            "--ca-bundle",
            str(tls / "alice/ca.crt"),
            "--allow-loopback",
            "--out",
            str(tmp_path / "out"),
        )
        status, result = share(server.url("/m.h5"), *options, digest=sha256(DIGITS))
        assert (status, result["digest"]) == (0, json.loads(GOLDEN.read_text())["digest"])
        status, result = share(server.url("/m.h5"), *options, digest="0" * 64)
    assert (status, result["reason"]) == (2, "HashMismatch")


def test_options_come_from_the_environment_too(
    monkeypatch: pytest.MonkeyPatch, share: Callable[..., Any], tmp_path: Path
) -> None:
    monkeypatch.setenv("SECUREMODEL_INPUT_BOUND", "0.5")
    monkeypatch.setenv("SECUREMODEL_OUT", str(tmp_path / "out"))
    assert share(DIGITS)[0] == 0
    assert (
        json.loads((tmp_path / "out/program.json").read_text())["instructions"][0]["bound"] == 2**15
    )


def test_the_protocol_is_in_the_share_files(
    monkeypatch: pytest.MonkeyPatch, no_environment: None, share: Callable[..., Any], tmp_path: Path
) -> None:
    def chosen(*options: str) -> set[str]:
        assert share(stored(tmp_path, 0.5), "--out", str(tmp_path / "out"), *options)[0] == 0
        files = [tmp_path / f"out/{role}.safetensors" for role in ("alice", "bob", "carol")]
        return {safe_open(file, "np").metadata()["protocol"] for file in files}

    assert chosen() == {"SecureNN"}
    assert chosen("--protocol", "ASTRA") == {"ASTRA"}
    monkeypatch.setenv("SECUREMODEL_PROTOCOL", "ASTRA")
    assert chosen() == {"ASTRA"}


def test_weights_and_secrets_are_never_shown(
    share: Callable[..., Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In no error of any step, an unforeseen one included, whose own text holds a weight."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "token").write_text("hunter2")
    options = ("--credentials-dir", str(secret), "--out", str(tmp_path / "out"))
    relu = [networks.dense(2, activation="relu")]
    shown = [
        share(stored(tmp_path, value, relu), *options)
        for value in (PLANTED, PLANTED * 1e5, PLANTED * 1e12)
    ]

    def fail(weights: Any, *_: Any) -> None:
        raise ValueError(f"unforeseen {weights} {PLANTED}")

    monkeypatch.setattr("securemodel_share.handover.make_shares", fail)
    shown.append(share(stored(tmp_path, PLANTED), *options))
    assert [status for status, _ in shown] == [0, 2, 2, 2]
    assert shown[-1][1]["reason"] == "InternalError"
    assert "test_command.py" in shown[-1][1]["message"]
    text = capsys.readouterr().err + json.dumps([result for _, result in shown])
    for planted in ("72830", "7.28", "hunter2"):
        assert planted not in text


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    """The example, compiled by the command."""
    folder = tmp_path / "compiled"
    message = tmp_path / "compile"
    options = ("--model", str(DIGITS), "--sha256", sha256(DIGITS), "--compiled", str(folder))
    assert command.main(["compile", *options, "--termination-message", str(message)]) == 0
    result = json.loads(message.read_text())
    assert result["digest"] == json.loads(GOLDEN.read_text())["digest"]
    assert result["parameters"] == 22158
    assert set(result["seconds"]) == {"fetch", "read", "compile"}
    return folder


def test_what_holds_the_keys_loads_nothing_that_reads_models(
    compiled: Path, players: Any, tmp_path: Path
) -> None:
    servers, to = players
    message = tmp_path / "deliver"
    arguments = ["deliver", "--compiled", str(compiled), *to, "--termination-message", str(message)]
    script = (
        "import sys; from securemodel_share.__main__ import main; "
        f"assert main({arguments!r}) == 0; "
        "parts = ('readers', 'layers', 'lowering', 'compile', 'passes', 'tfe', 'pipeline'); "
        "found = [p for p in parts if 'securemodel_share.' + p in sys.modules]; "
        "print(found + [m for m in ('h5py', 'tensorflow', 'tf_keras') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    result = json.loads(message.read_text())
    assert result["digest"] == json.loads(GOLDEN.read_text())["digest"]
    assert (result["parameters"], set(result["seconds"])) == (22158, {"share", "deliver"})
    program = (compiled / "program.json").read_bytes()
    for role, server in servers.items():
        metadata = json.loads(_header(server.requests[0].body))["__metadata__"]
        assert (metadata["role"], metadata["program"]) == (role, program.decode())


def _header(file: bytes) -> bytes:
    """Of a safetensors file."""
    return file[8 : 8 + int.from_bytes(file[:8], "little")]


def test_the_input_has_a_bound_or_a_range(share: Callable[..., Any], tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "out"))
    cases = [
        (("--input-low", "0"), "RangeOverflow", "0 to nan"),
        (("--input-low", "5", "--input-high", "5"), "RangeOverflow", "5 to 5"),
        (("--input-low", "0.999999", "--input-high", "1"), "RangeOverflow", "0.999999 to 1"),
        (("--input-low", "0", "--input-high", "40000"), "RangeOverflow", "up to 32767"),
        (("--input-low", "nan", "--input-high", "1"), "RangeOverflow", "inputRange"),
        (("--ranges", "Hoped"), "RangeOverflow", "'Hoped' is not known"),
        (("--tolerance", "0"), "PrecisionLost", "spec.model.tolerance"),
        (
            ("--input-low", "0", "--input-high", "1", "--input-bound", "1"),
            "InternalError",
            "not both",
        ),
    ]
    for options, reason, says in cases:
        status, result = share(DIGITS, *out, *options)
        assert (status, result["reason"]) == (2, reason)
        assert says in result["message"]


def test_what_the_operator_would_never_pass_is_refused_by_name(
    share: Callable[..., Any], tmp_path: Path
) -> None:
    cases = [
        (("--labels", '"cat"'), "--labels is not a JSON list"),
        (("--labels", '{"cat": 1}'), "--labels is not a JSON list"),
        (("--labels", "cat"), "--labels is not a JSON list"),
        (("--labels", "7"), "--labels is not a JSON list"),
        (("--labels", "[1]"), "--labels is not a JSON list"),
        (("--architecture", "model.json"), "--architecture and --architecture-sha256 together"),
        (("--calibration-sha256", "00"), "--calibration and --calibration-sha256 together"),
    ]
    for options, says in cases:
        status, result = share(DIGITS, "--out", str(tmp_path / "out"), *options)
        assert (status, result["reason"]) == (2, "InternalError")
        assert says in result["message"], result["message"]


def test_a_model_that_needs_too_much_memory_is_told_so_and_not_tried_again(
    share: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("securemodel_share.handover.make_shares", fail)
    status, result = share(DIGITS, "--out", str(tmp_path / "out"))
    assert (status, result["retryable"]) == (2, False)
    assert "raise share.resources.limits.memory" in result["message"]


def test_the_result_says_how_the_ranges_are_known(
    share: Callable[..., Any], tmp_path: Path
) -> None:
    out, rows = ("--out", str(tmp_path / "out")), tmp_path / "rows.npy"
    status, result = share(DIGITS, *out)
    assert (status, result["ranges"]["kind"], result["ranges"]["source"]) == (0, "Proved", None)
    assert result["ranges"]["margin"] > 1
    assert math.log2(result["ranges"]["margin"]).is_integer(), "digits would tell of weights"
    assert result["ranges"]["layer"] in {layer.name for layer in reference.model().layers}
    assert 0 < result["precision"]["error"] <= 1e-3

    path = tmp_path / "deep.h5"
    path.write_bytes(networks.rotations())
    np.save(rows, np.random.default_rng(1).uniform(-1, 1, (16, 8)))
    given = ("--calibration", str(rows), "--calibration-sha256", sha256(rows))
    status, result = share(path, *out, *given)
    assert (status, result["ranges"]["kind"], result["ranges"]["source"]) == (
        0,
        "Calibrated",
        "rows",
    ), result
    assert result["ranges"]["margin"] > 16
    assert share(path, *out)[1]["ranges"]["source"] == "drawn"
    status, result = share(path, *out, "--ranges", "Proved")
    assert (status, result["reason"]) == (2, "RangeOverflow")
    status, result = share(path, *out, *given[:3], "0" * 64)
    assert (status, result["reason"]) == (2, "HashMismatch")
    assert "spec.model.calibration.sha256" in result["message"]


def test_what_the_fixed_point_loses_is_refused_unless_it_is_accepted_by_name(
    share: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "tiny.h5"
    path.write_bytes(networks.lost())
    options = ("--out", str(tmp_path / "out"), "--input-bound", "30000")
    status, result = share(path, *options)
    assert (status, result["reason"]) == (2, "PrecisionLost")
    advised = re.search(r'spec.model.tolerance: "([0-9.]+)"', result["message"])
    assert advised is not None, result["message"]
    status, result = share(path, *options, "--tolerance", advised[1])
    assert status == 0, result
    assert 1e-3 < result["precision"]["relative"] <= float(advised[1])


def test_the_names_of_the_classes_are_in_the_program(
    share: Callable[..., Any], tmp_path: Path
) -> None:
    """Given in one list or in several, as the operator does."""
    out = ("--out", str(tmp_path / "out"))
    names = [f"digit {i} \U0001f98a" for i in range(10)]
    for lists in ([names], [names[:7], names[7:]]):
        options = [word for part in lists for word in ("--labels", json.dumps(part))]
        assert share(DIGITS, *out, *options)[0] == 0
        program = json.loads((tmp_path / "out/program.json").read_text())
        assert program["public"] == {"labels": names}
    status, result = share(DIGITS, *out, "--labels", '["one"]')
    assert (status, result["reason"]) == (2, "InvalidModel")
    assert "1 labels for 10 outputs" in result["message"]


def test_a_file_of_weights_needs_its_architecture(
    share: Callable[..., Any], tmp_path: Path
) -> None:
    weights, architecture = tmp_path / "weights.h5", tmp_path / "model.json"
    with h5py.File(DIGITS) as whole, h5py.File(weights, "w") as alone:
        architecture.write_text(whole.attrs["model_config"])
        for name in whole["model_weights"]:
            whole.copy(f"model_weights/{name}", alone)
        for name, value in whole["model_weights"].attrs.items():
            alone.attrs[name] = value
    out = ("--out", str(tmp_path / "out"))
    given = ("--architecture", str(architecture), "--architecture-sha256", sha256(architecture))
    status, result = share(weights, *out, *given)
    assert (status, result.get("digest")) == (0, json.loads(GOLDEN.read_text())["digest"]), result
    status, result = share(weights, *out)
    assert (status, result["reason"]) == (2, "InvalidModel")
    assert "architecture" in result["message"]
    status, result = share(weights, *out, *given[:3], "0" * 64)
    assert (status, result["reason"]) == (2, "HashMismatch")
    assert "spec.model.architecture.sha256" in result["message"]


def test_credentials_are_sent_to_the_server_of_the_model_alone(
    share: Callable[..., Any], tls: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "token").write_text("hunter2")
    rows = io.BytesIO()
    np.save(rows, np.zeros((1, 28, 28, 1)))
    rows_sha256 = hashlib.sha256(rows.getvalue()).hexdigest()
    answers = {
        "/m.h5": Answer(200, DIGITS.read_bytes()),
        "/rows.npy": Answer(200, rows.getvalue()),
    }
    with TlsServer(tls / "alice", answers) as one, TlsServer(tls / "bob", answers) as other:
        options = (
            "--ca-bundle", str(tls / "alice/ca.crt"), "--credentials-dir", str(secret),
            "--allow-loopback", "--out", str(tmp_path / "out"), "--calibration-sha256", rows_sha256,
        )  # fmt: skip
        for server in (one, other):
            given = ("--calibration", server.url("/rows.npy"))
            assert share(one.url("/m.h5"), *options, *given, digest=sha256(DIGITS))[0] == 0
    sent = [(r.path, r.headers.get("Authorization")) for r in one.requests]
    assert sent == [(path, "Bearer hunter2") for path in ("/m.h5", "/rows.npy", "/m.h5")]
    assert [(r.path, r.headers.get("Authorization")) for r in other.requests] == [
        ("/rows.npy", None)
    ]


def test_a_model_that_no_player_takes_is_refused_before_it_is_shared(
    share: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "MOST_INSTRUCTIONS", 3)
    monkeypatch.setattr(compiler, "MOST_MEMORY_MB", 1)
    status, result = share(DIGITS, "--out", str(tmp_path / "out"))
    assert (status, result["reason"], result["retryable"]) == (2, "InvalidModel", False)
    assert "instructions, and 3 are the most" in result["message"]
    assert "1 more" in result["message"]


def test_what_compiles_too_long_is_refused_for_good() -> None:
    def compile_for_ever() -> None:
        with Steps().within(1):
            while True:
                pass

    with pytest.raises(ShareError, match="more than 1 s") as caught:
        compile_for_ever()
    assert not caught.value.retryable
