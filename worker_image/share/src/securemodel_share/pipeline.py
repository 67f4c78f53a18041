"""The steps of the share step, in order."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .deliver import Identity, Player, deliver
from .lowering import check
from .readers import read_model
from .sources import Source, check_sha256, fetch

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is to be shared, and with whom. `destination`: a folder, or the players."""

    model: str
    sha256: str
    source: Source
    input_bound: float
    protocol: str
    destination: Path | tuple[list[Player], Identity]


class Steps:
    """Prints progress and keeps the seconds of each step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str, doing: str) -> Iterator[None]:
        self.say(f"{doing} ...")
        begin = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - begin, 3)

    def say(self, text: str) -> None:
        sys.stderr.write(f"share: {text}\n")
        sys.stderr.flush()


def run(given: Options, steps: Steps) -> dict[str, object]:
    """All steps, in order; what the termination message says of success.

    Raises:
        ShareError: a step failed.
    """
    with steps.step("fetch", "fetching the artifact"):
        data = fetch(given.model, given.source)
        check_sha256(data, given.sha256)
    with steps.step("read", "reading the model"):
        model = read_model(data)
        check(model)

    # imports TensorFlow, which takes seconds; bad artifacts are refused before
    with steps.step("load", "loading TF Encrypted"):
        from . import compile as compiler  # noqa: PLC0415
    with steps.step("compile", f"compiling {len(model.layers)} layers"):
        bound = given.input_bound
        program = compiler.compile_model(model, compiler.Wanted(low=-bound, high=bound)).program

    parameters = sum(int(w.size) for w in program.weights.values())
    with steps.step("share", f"sharing {parameters} parameters"):
        from .shares import make_shares  # noqa: PLC0415

        generation, files = make_shares(program, given.protocol)
    if isinstance(given.destination, Path):
        _write(given.destination, program.encode(), files)
    else:
        with steps.step("deliver", "delivering to the players"):
            deliver(files, *given.destination, steps.say)
    return {
        "digest": program.digest,
        "generation": generation,
        "parameters": parameters,
        "seconds": steps.seconds,
    }


def _write(folder: Path, program: bytes, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "program.json").write_bytes(program)
    for role, file in files.items():
        (folder / f"{role}.safetensors").write_bytes(file)
