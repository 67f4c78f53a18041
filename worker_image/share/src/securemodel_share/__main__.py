"""Command line of the share step."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from . import arguments
from .errors import Reason, ShareError
from .steps import Steps

EXIT_RETRYABLE = 1
EXIT_FINAL = 2
# Kubernetes keeps 4096 bytes of a termination message; JSON may need six for a character
MESSAGE_CHARACTERS = 600

DESCRIPTION = """\
Turn a Keras model into secret shares and hand each of three players its own.
The players learn the model's architecture, not its weights."""
EXAMPLE = """
example, three files for three players on this machine:
  securemodel-share run --model digits.h5 --sha256 $(sha256sum digits.h5 | cut -c1-64) --out shares

Every option can be given by the environment instead: --input-bound is SECUREMODEL_INPUT_BOUND.
Exit status: 0 done; 1 failed, trying again may help; 2 failed for good.
"""

Result = dict[str, Any]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="securemodel-share", description=DESCRIPTION, epilog=EXAMPLE, formatter_class=_form
    )
    commands = p.add_subparsers(dest="command", metavar="COMMAND", required=True)

    one = _command(commands, "compile", _compile, "open a model file and compile it; needs no keys")
    arguments.artifact_options(one)
    arguments.compiled_option(one, "write the compiled model here")
    arguments.result_option(one)

    two = _command(commands, "deliver", _deliver, "share a compiled model; opens no model file")
    arguments.compiled_option(two, "folder that compile has written")
    arguments.player_options(two, out=False)
    arguments.result_option(two)

    both = _command(commands, "run", _run, "both in one, on this machine")
    arguments.artifact_options(both)
    arguments.player_options(both, out=True)
    arguments.result_option(both)
    return p


def _form(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=32, width=100)


def _command(commands: Any, name: str, call: Any, text: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, formatter_class=_form
    )
    made.set_defaults(call=call)
    return made


# each half imports its own: what delivers has not even loaded what reads model files


def _compile(args: argparse.Namespace, steps: Steps) -> Result:
    from .pipeline import compile_artifact  # noqa: PLC0415

    made, result = compile_artifact(arguments.request(args), steps)
    made.write(Path(args.compiled))
    return result


def _deliver(args: argparse.Namespace, steps: Steps) -> Result:
    from .compiled import read_compiled  # noqa: PLC0415
    from .handover import hand_over  # noqa: PLC0415

    given = arguments.options(args)
    return hand_over(read_compiled(Path(args.compiled)), given, steps)


def _run(args: argparse.Namespace, steps: Steps) -> Result:
    from .handover import hand_over  # noqa: PLC0415
    from .pipeline import compile_artifact  # noqa: PLC0415

    given = arguments.options(args)
    made, result = compile_artifact(arguments.request(args), steps)
    return result | hand_over(made, given, steps)


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    steps = Steps()
    try:
        result = args.call(args, steps)
        result["seconds"] = steps.seconds
        shown = ", ".join(
            f"{name} {result[name]}" for name in ("digest", "generation") if name in result
        )
        steps.say(f"done: {shown}")
        status = 0
    except Exception as error:  # noqa: BLE001 - a reason instead of a traceback, which could show weights
        failure = error if isinstance(error, ShareError) else unexpected(error)
        result, status = _failed(failure, steps)
    if args.termination_message:
        Path(args.termination_message).write_text(json.dumps(result))
    return status


def _failed(failure: ShareError, steps: Steps) -> tuple[Result, int]:
    """What the termination message says of a failure, and the exit status."""
    message = failure.message[:MESSAGE_CHARACTERS]
    # all of them; the message is the first, and refers to this log
    for said in failure.findings or [failure]:
        steps.say(f"{said.reason}: {said.message}")
    result = {"reason": str(failure.reason), "message": message, "retryable": failure.retryable}
    return result, EXIT_RETRYABLE if failure.retryable else EXIT_FINAL


def unexpected(error: Exception) -> ShareError:
    """An error that nobody foresaw: its type and place, not its text, which could hold weights."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    place = (
        f" at {Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}" if at is not None else ""
    )
    return ShareError(
        Reason.INTERNAL_ERROR,
        f"{type(error).__name__}{place}; {_next_step(error)}",
        retryable=isinstance(error, OSError),
    )


def _next_step(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "the model needs more memory; raise share.resources.limits.memory of the chart"
    if isinstance(error, OSError):
        return "trying again may help"
    return "please report this model"


if __name__ == "__main__":
    sys.exit(main())
