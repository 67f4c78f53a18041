"""Files made to harm: whatever is in one, the answer is a model or a refusal, soon and in little
memory, and trying again is not suggested.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import networks
from securemodel_share.errors import ShareError
from securemodel_share.model import Model
from securemodel_share.readers import answer, isolation, limits, read_here, read_model, request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SMALL = networks.keras_file((4,), [networks.dense(2)], lambda s: np.full(s, 0.5), keras=2)
DENSE = "model_weights/dense_0"
# what reading a small file may take of this machine, however busy it is
SECONDS = 60


def changed(change: Callable[[h5py.File], None], data: bytes = SMALL) -> bytes:
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as f:
        change(f)
    return buffer.getvalue()


def kernel(f: h5py.File) -> tuple[h5py.Group, str]:
    """Where the kernel was: its group and path, without it."""
    group = f[DENSE]
    path = group.attrs["weight_names"][0]
    del group[path]
    return group, path


def claims(**how: Any) -> Callable[[h5py.File], None]:
    def change(f: h5py.File) -> None:
        group, path = kernel(f)
        group.create_dataset(path, dtype="f4", **how)

    return change


def bomb(f: h5py.File) -> None:
    """A gigabyte of zeros, which compress to a megabyte: one chunk is stored, many times."""
    group, path = kernel(f)
    made = group.create_dataset(
        path, (256, 1 << 20), "f4", chunks=(1, 1 << 20), compression="gzip", fillvalue=1
    )
    made[0] = 0
    stored = made.id.read_direct_chunk((0, 0))
    for row in range(1, 256):
        made.id.write_direct_chunk((row, 0), stored[1])


def many_of_one(f: h5py.File) -> None:
    group, path = kernel(f)
    group.create_dataset(path, (1 << 20,), "f4", compression="gzip")
    group.attrs["weight_names"] = [path] * 1000


def circle(f: h5py.File) -> None:
    group, _ = kernel(f)
    group["again"] = f["model_weights"]
    group.attrs["weight_names"] = ["again/dense_0/again/dense_0"]


def attributes(f: h5py.File) -> None:
    for i in range(2000):
        f[DENSE].attrs[f"a{i}"] = i


def names(f: h5py.File) -> None:
    del f[DENSE].attrs["weight_names"]
    for i in range(300):
        f[DENSE].attrs[f"weight_names{i}"] = [f"{i}/{j}" for j in range(50)]


def configured(text: str) -> Callable[[h5py.File], None]:
    def change(f: h5py.File) -> None:
        f.attrs["model_config"] = text

    return change


def nesting(levels: int) -> dict[str, Any]:
    """A model that holds two of the next, and so on: a small file of many calls."""
    entry = {"class_name": "Activation", "config": {"name": "a", "activation": "relu"}}
    for level in range(levels):
        first = {"class_name": "InputLayer", "config": {"name": "i", "batch_shape": [None, 4]}}
        inner = {**entry, "name": "m", "inbound_nodes": [[["i", 0, 0, {}]], [["m", 0, 0, {}]]]}
        inner["config"] = {**inner["config"], "name": "m"}
        entry = {
            "class_name": "Functional",
            "config": {
                "name": f"n{level}",
                "layers": [{**first, "name": "i", "inbound_nodes": []}, inner],
                "input_layers": [["i", 0, 0]],
                "output_layers": [["m", 1, 0]],
            },
        }
    return entry


ATTACKS: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "a terabyte that was never written": (
        claims(shape=(1 << 20, 1 << 18), chunks=(1, 1 << 18)),
        "more than there is room for",
    ),
    "a gigabyte that was never written": (
        claims(shape=(1 << 28,), chunks=(1 << 16,)),
        "more than there is room for",
    ),
    "a gigabyte that compresses well": (bomb, "more than there is room for"),
    "a chunk larger than the array": (
        claims(shape=(4, 2), chunks=(1 << 14, 1 << 14), maxshape=(None, None)),
        "more than there is room for",
    ),
    "one array under a thousand names": (many_of_one, "more than there is room for"),
    "groups that hold themselves": (circle, "dense_0"),
    "weights without end": (names, "is missing"),
    "JSON of many megabytes": (configured('"' + "a" * (17 << 20) + '"'), "longer than 16 MiB"),
    "JSON nested beyond Python": (configured("[" * 100_000), "nested too deeply"),
    "JSON nested deeply": (
        configured('{"class_name": "Sequential", "config":' + "[" * 900 + "]" * 900 + "}"),
        "nested too deeply",
    ),
    "a number without end": (
        configured('{"class_name": "Sequential", "config": ' + "9" * 100_000 + "}"),
        "not JSON",
    ),
    "models within models": (configured(json.dumps(nesting(40))), "nested"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_file_made_to_harm_is_refused_soon(attack: str, refused: Callable[..., None]) -> None:
    change, says = ATTACKS[attack]
    data = changed(change)
    begin = time.monotonic()
    refused(lambda: read_model(data), *(str(caught(data).reason), says))
    assert time.monotonic() - begin < SECONDS


def caught(data: bytes) -> ShareError:
    with pytest.raises(ShareError) as found:
        read_model(data)
    return found.value


def test_two_thousand_attributes_are_no_matter() -> None:
    assert read_model(changed(attributes)).layers


PEAK = """
import os, subprocess, sys
given, *command = sys.argv[1:]
child = subprocess.Popen(command, stdin=open(given), stdout=subprocess.DEVNULL)
print(os.wait4(child.pid, 0)[2].ru_maxrss)
"""


@pytest.mark.parametrize(
    "case", ["a gigabyte that was never written", "a gigabyte that compresses well"]
)
def test_reading_takes_little_memory(case: str, tmp_path: Path) -> None:
    """A file of 8 KB once took 3.1 GiB. (A process counts what its parent had: hence two.)"""
    with (tmp_path / "given").open("wb") as given:
        request.write(given, changed(ATTACKS[case][0]), None)
    command = [sys.executable, "-I", "-c", PEAK, str(tmp_path / "given"), *isolation.COMMAND]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert int(done.stdout) < 200 << 10


METADATA = b'{"keras_version": "3.15.1"}'
CONFIG = json.dumps(
    {
        "class_name": "Sequential",
        "config": [
            {"class_name": "InputLayer", "config": {"name": "i", "batch_shape": [None, 4]}},
            {"class_name": "Dense", "config": {"name": "d", "units": 2}},
        ],
    }
).encode()


def numbered(at: str = "layers/dense/vars/0", **how: Any) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as f:
        f.create_dataset(at, **how)
    return buffer.getvalue()


def test_models_that_call_models_twice_and_so_on_are_refused(refused: Callable[..., None]) -> None:
    empty = numbered("layers/unused", shape=(), dtype="f4")
    refused(
        lambda: read_model(changed(_without_unused, empty), json.dumps(nesting(30)).encode()),
        "UnsupportedLayer",
        "calls more than 10000 layers",
    )


def _without_unused(f: h5py.File) -> None:
    del f["layers/unused"]


PLAIN = numbered(data=np.ones((4, 2)))


def zipped(
    config: bytes = CONFIG,
    weights: bytes = PLAIN,
    method: int = zipfile.ZIP_DEFLATED,
    **more: bytes,
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in {
            "config.json": config,
            "metadata.json": METADATA,
            "model.weights.h5": weights,
            **more,
        }.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_zip_may_be_compressed() -> None:
    (_, dense) = read_model(zipped()).layers
    assert dense.weights["kernel"].tolist() == [[1, 1]] * 4


ZIPS = {
    "weights that unpack to a gigabyte": (
        lambda: zipped(weights=bytes(80 << 20)),
        "claims more than",
    ),
    "a configuration that unpacks to much": (
        lambda: zipped(config=b" " * (17 << 20)),
        "claims more than",
    ),
    "weights that claim much": (
        lambda: zipped(weights=numbered(shape=(1 << 28,), chunks=(1 << 16,), dtype="f4")),
        "more than there is room for",
    ),
    "a method that Keras does not use": (
        lambda: zipped(method=zipfile.ZIP_LZMA),
        "compressed in a way",
    ),
    "many files": (lambda: zipped(**{f"f{i}": b"" for i in range(1001)}), "more than 1000 files"),
    "weights in parts": (lambda: zipped(**{"model.weights.json": b"{}"}), "several files"),
    "assets": (lambda: zipped(**{"assets/layers/text/vocabulary.txt": b"a"}), "assets"),
    "a size that is not so": (
        lambda: zipped(method=zipfile.ZIP_STORED).replace(
            len(CONFIG).to_bytes(4, "little"), b"\1\0\0\0"
        ),
        "damaged",
    ),
    "a weight of no layer": (
        lambda: zipped(weights=PLAIN.replace(b"dense", b"other")),
        "'layers/other/vars/0', where the model has no layer",
    ),
    "groups within groups": (
        lambda: zipped(weights=numbered("layers/" + "a/" * 3000 + "0", data=np.ones(3))),
        "groups, or deeper ones",
    ),
    "no end": (lambda: zipped()[:-30], "truncated"),
}


@pytest.mark.parametrize("case", ZIPS)
def test_a_zip_made_to_harm_is_refused(case: str) -> None:
    make, says = ZIPS[case]
    error = caught(make())
    assert says in error.message
    assert not error.retryable


TRIES = """
import os, socket, sys
from securemodel_share.readers import __main__ as reader, formats
from securemodel_share.readers.refused import invalid

def name_of_error(call, *arguments):
    try:
        call(*arguments)
    except Exception as error:
        return type(error).__name__

def read(data, architecture):
    tried = [(open, "/etc/passwd"), (socket.socket,), (os.pipe,)]
    raise invalid(f"{dict(os.environ)} {[name_of_error(*one) for one in tried]}")

formats.read = read
sys.exit(reader.main())
"""


def test_the_reading_process_has_no_environment_and_opens_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What code in a file could do, if a flaw of the parser let it run."""
    monkeypatch.setenv("SECUREMODEL_SECRET", "value")
    monkeypatch.setattr(isolation, "COMMAND", (sys.executable, "-I", "-c", TRIES))
    said = caught(SMALL).message
    assert "SECRET" not in said
    assert "['OSError', 'OSError', 'OSError']" in said


ENDING = """
import os, sys
from securemodel_share.readers import __main__ as reader, formats, limits

limits.seconds = lambda size: 2

def read(data, architecture):
    {does}

formats.read = read
sys.exit(reader.main())
"""
ENDS = {
    "memory": ("bytearray(8 << 30)", "more than 640 MiB of memory"),
    "time": ("\nwhile True: pass", "more than 1 s"),
    "processor time": ("\nwhile True: pass", "more than 30 s"),
    "a crash": ("os.kill(os.getpid(), 11)", "crashed (SIGSEGV)"),
    "a kill": ("os.kill(os.getpid(), 9)", "crashed (SIGKILL)"),
    "an exit": ("os._exit(7)", "failed with status 7"),
    "silence": ("os._exit(0)", "without an answer"),
    "noise": ("os.write(1, bytes(100)); os._exit(0)", "without an answer"),
    "too long an answer": (
        "os.write(1, bytes(200 << 20)); os._exit(0 if os.fstat(1).st_size < 200 << 20 else 9)",
        "without an answer",
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_however_reading_ends_it_is_said_of_the_file_and_final(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    does, says = ENDS[end]
    monkeypatch.setattr(limits, "waiting", lambda _: 1 if end == "time" else 60)
    code = ENDING.format(does=does.replace("\n", "\n    "))
    monkeypatch.setattr(isolation, "COMMAND", (sys.executable, "-I", "-c", code))
    error = caught(SMALL)
    assert says in error.message
    assert not error.retryable
    assert str(error.reason) == "InvalidModel"


def test_an_answer_is_the_model_that_was_read() -> None:
    here, there = read_here(SMALL), read_model(SMALL)
    for one, other in zip(here.layers, there.layers, strict=True):
        assert (one.name, one.kind, one.config, one.inputs) == (
            other.name,
            other.kind,
            other.config,
            other.inputs,
        )
        assert {k: w.tolist() for k, w in one.weights.items()} == {
            k: w.tolist() for k, w in other.weights.items()
        }
    assert there.layers[1].weights["kernel"].dtype == np.float64


WHOLE = b"".join(answer.of(lambda: read_here(SMALL)))


@pytest.mark.parametrize(
    "changed_answer",
    [
        b"",
        WHOLE[:-1],
        WHOLE + b"\0",
        WHOLE.replace(b'"<f8"', b'"|O8"'),
        WHOLE.replace(b"[4, 2]", b"[8, 2]"),
        WHOLE.replace(b"[4, 2]", b"[-4,2]"),
    ],
    ids=["nothing", "less", "more", "objects", "a larger array", "a negative array"],
)
def test_an_answer_that_is_not_as_it_says_is_none(changed_answer: bytes) -> None:
    assert changed_answer != WHOLE
    with pytest.raises(answer.MalformedError):
        answer.read(changed_answer)


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_no_bytes_of_an_answer_do_more_than_raise(data: st.DataObject) -> None:
    """Whoever controls the reading process controls its answer."""
    whole = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(answer.MalformedError, ShareError):
        assert isinstance(answer.read(bytes(whole)), Model)


FILES = (SMALL, networks.keras_file((4,), [networks.dense(2)], np.ones, keras=3), zipped())


@given(data=st.data())
@settings(
    max_examples=600 if os.environ.get("SECUREMODEL_LONG") else 40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_damaged_bytes_are_a_model_or_refused(data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from(FILES)))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.sampled_from((0, 1, 0x7F, 0x80, 0xFF, damaged[at] ^ 1)))
    _a_model_or_refused(lambda: read_model(bytes(damaged)))


def _a_model_or_refused(read: Callable[[], Model]) -> None:
    with contextlib.suppress(ShareError):
        assert isinstance(read(), Model)


VALUES = st.sampled_from(
    (
        "null",
        "true",
        "0",
        "-1",
        "1e400",
        '""',
        '"a"',
        "[]",
        "{}",
        "[[]]",
        '[["i", 0, 0]]',
        '{"a": 1}',
    )
)


@given(data=st.data())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_strange_configuration_is_a_model_or_refused(data: st.DataObject) -> None:
    """JSON that is well formed, of values that nobody expects."""
    config = json.loads(json.dumps(data.draw(st.sampled_from((nesting(2), json.loads(CONFIG))))))
    for _ in range(data.draw(st.integers(1, 3))):
        at: Any = config
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if not isinstance(at[key], (dict, list)) or data.draw(st.integers(0, 5)) == 0:
                at[key] = json.loads(data.draw(VALUES))
                break
            at = at[key]
    _a_model_or_refused(lambda: read_here(PLAIN, json.dumps(config).encode()))


def test_no_file_can_be_opened_even_in_place_of_one_that_was_closed() -> None:
    code = """
import os, socket
from securemodel_share.readers import __main__ as reader
reader._confine(100)
os.close(2)
for opens in (lambda: open("/proc/self/environ"), socket.socket):
    try:
        opens()
    except OSError as error:
        print(error.errno)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(errno.EMFILE)] * 2
