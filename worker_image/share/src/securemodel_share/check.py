"""`securemodel check FILE`: whether a model can be served, and all that is known of it before
anything is scheduled. The same code as the share step's: what it accepts is what a cluster accepts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .compile import RANGES, Compiled, Wanted, compile_model
from .errors import ShareError
from .execute import batches, execute_fixed
from .npy import read_rows
from .readers import read_model
from .report import Checked, document, text
from .request import labels

if TYPE_CHECKING:
    # what the client does to a prediction (B, ...): functions as a program's public part has them
    Apply = Callable[[Sequence[dict[str, Any]], np.ndarray], np.ndarray]

SERVABLE, REFUSED = 0, 2

DESCRIPTION = """\
Say whether a model can be served, before anything is scheduled: all that is in the way, or what it
becomes, what it costs, how well its numbers hold, and what becomes public. What is accepted here is
what a cluster accepts; spec.model.inputBound is --input-bound here, and so on."""
EXAMPLE = """
example:
  securemodel check digits.h5 --data images.npy --input-range 0 1

Exit status: 0 it can be served; 2 it cannot, or the command line is wrong.
"""
SEED = 3


def command(arguments: Sequence[str], apply: Apply) -> int:
    """The command, as the client's command line calls it; the exit status."""
    p = parser()
    args = p.parse_args(arguments)
    if args.output and not args.data:
        p.error("--output is what a client would get for --data: give --data as well")
    wanted = _wanted(p, args)
    architecture = _bytes(p, args.architecture) if args.architecture else None
    checked = check(_bytes(p, args.file), wanted, architecture, _say)
    if args.output and checked.compiled and wanted.calibration is not None:
        np.save(args.output, predicted(checked.compiled, wanted.calibration, apply))
    is_text = args.format == "text"
    said = text(checked, args.file.name) if is_text else json.dumps(document(checked)) + "\n"
    sys.stdout.write(said)
    return SERVABLE if checked.compiled else REFUSED


def _say(doing: str) -> None:
    sys.stderr.write(f"check: {doing} ...\n")
    sys.stderr.flush()


def check(
    file: bytes,
    wanted: Wanted,
    architecture: bytes | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Checked:
    """All that is wrong with a file, or what becomes of it. `say` hears what is being done."""
    known = Checked(data=wanted.calibration)
    try:
        model = read_model(file, architecture)
        known = replace(known, model=model)
        return replace(known, compiled=compile_model(model, wanted, say))
    except ShareError as error:
        return replace(known, findings=error.findings)


def predicted(compiled: Compiled, data: np.ndarray, apply: Apply) -> np.ndarray:
    """What a client would get for rows (B, ...row), float64."""
    random = np.random.default_rng(SEED)
    program = compiled.program
    logits = [execute_fixed(program, x, random) for x in batches(program, data)]
    return apply(program.public.get("functions", []), np.concatenate(logits))


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="securemodel check",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
            prog, max_help_position=28, width=100
        ),
    )
    p.add_argument("file", metavar="FILE", type=Path, help="the model as Keras saved it")
    add = p.add_argument
    add("--architecture", metavar="FILE", type=Path, help="for a file of weights: model.to_json()")
    add("--data", metavar="X.npy", type=Path, help="inputs of yours, a row each: calibration")
    add("--output", metavar="Y.npy", type=Path, help="write what a client would get for --data")
    add("--labels", metavar="JSON", help='names of the classes: ["cat", "dog"], or @FILE')
    bound = p.add_mutually_exclusive_group()
    text = "largest absolute value of an input (default 1)"
    bound.add_argument("--input-bound", metavar="NUMBER", type=float, help=text)
    text = "smallest and largest value of an input"
    bound.add_argument("--input-range", metavar=("LOW", "HIGH"), type=float, nargs=2, help=text)
    add("--ranges", choices=RANGES, default=RANGES[0], help="refuse what is not proved, or not")
    add("--tolerance", metavar="NUMBER", type=float, help="largest error to accept (default 1e-3)")
    add("--format", choices=("text", "json"), default="text", help="for people, or for machines")
    return p


def _wanted(p: argparse.ArgumentParser, args: argparse.Namespace) -> Wanted:
    bound = 1.0 if args.input_bound is None else args.input_bound
    low, high = args.input_range or (-bound, bound)
    try:
        return Wanted(
            low=low,
            high=high,
            labels=_labels(args.labels),
            calibration=None if args.data is None else read_rows(args.data.read_bytes()),
            ranges=args.ranges,
            tolerance=args.tolerance,
        )
    except ShareError as error:
        p.error(error.message)
    except (OSError, ValueError) as error:
        p.error(f"--labels or --data cannot be used: {error}")


def _labels(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    return labels(Path(text[1:]).read_text("utf-8") if text.startswith("@") else text)


def _bytes(p: argparse.ArgumentParser, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        p.error(f"{path} cannot be read: {error.strerror}")
