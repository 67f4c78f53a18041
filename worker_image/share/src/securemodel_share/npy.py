"""Rows of numbers from a .npy file, without running or believing anything in it."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.lib import format as npy

from .errors import Reason, ShareError

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
NUMBERS = "fiub"


def read_rows(data: bytes) -> np.ndarray:
    """The array that numpy.save wrote.

    Raises:
        ShareError: InvalidModel, if it is none, or holds something else than numbers.
    """
    file = io.BytesIO(data)
    try:
        shape, columns, dtype = HEADERS[npy.read_magic(file)](file)
    except (ValueError, KeyError):
        raise _refusal("are not in a .npy file") from None
    if dtype.kind not in NUMBERS:
        raise _refusal(f"are of type {dtype}, not numbers")
    body = data[file.tell() :]
    # compared before an array is made: a header may claim any size
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(body):
        raise _refusal("are damaged: the .npy file is longer or shorter than its header says")
    return np.frombuffer(body, dtype).reshape(shape, order="F" if columns else "C")


def _refusal(problem: str) -> ShareError:
    message = (
        f"the rows for calibration {problem}; write them with numpy.save (spec.model.calibration)"
    )
    return ShareError(Reason.INVALID_MODEL, message)
