"""What a player says about its model, in Open Inference Protocol form (docs/wire.md)."""

from __future__ import annotations

from typing import Any

from .errors import UntrustedAnswerError

# that players have in which they answer, if they do not say: those of before did not
ANSWER_S = 10
# what changes with the players' --max-rows while the model stays the same
FOLLOWS_MAX_ROWS = ("max_rows", "answer_seconds")


def read(answer: dict[str, Any]) -> dict[str, Any]:
    """The keys that `Model.metadata` names.

    Raises:
        UntrustedAnswerError: something is missing, or of another kind than it should be.
    """
    try:
        parameters = answer["parameters"]
        bound = parameters["input_bound"]
        found = {
            "row_shape": _row(answer["inputs"]),
            "output_shape": _row(answer["outputs"]),
            "input_bound": bound,
            "input_low": parameters.get("input_low", -bound),
            "input_high": parameters.get("input_high", bound),
            "functions": [dict(function) for function in parameters.get("functions", [])],
            "labels": tuple(str(label) for label in parameters.get("labels", [])),
            "digest": parameters["digest"],
            "max_rows": parameters["max_rows"],
            "answer_seconds": int(parameters.get("answer_seconds", ANSWER_S)),
            "protocol": parameters["protocol"],
            "fraction_bits": parameters["fraction_bits"],
        }
    except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise UntrustedAnswerError(
            f"a player's metadata cannot be read ({type(error).__name__}); "
            "is it of another release?"
        ) from error
    if found["labels"] and found["output_shape"][-1:] != (len(found["labels"]),):
        raise UntrustedAnswerError(
            f"the players name {len(found['labels'])} labels for an output of shape "
            f"{found['output_shape']}; they are not of one release"
        )
    return found


def _row(tensors: list[dict[str, Any]]) -> tuple[int, ...]:
    """The shape of a row of the first tensor."""
    return tuple(tensors[0]["shape"][1:])
