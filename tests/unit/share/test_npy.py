"""Rows of a .npy file: nothing is run, and no header is believed."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.lib import format as npy

from securemodel_share.npy import read_rows

if TYPE_CHECKING:
    from collections.abc import Callable


def saved(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["float64", ">f4", "uint8", "int16", "bool"])
def test_what_numpy_saved_is_read(kind: str) -> None:
    rows = np.arange(24).reshape(2, 3, 4).astype(kind)
    for array in (rows, np.asfortranarray(rows)):
        found = read_rows(saved(array))
        assert found.dtype == rows.dtype
        np.testing.assert_array_equal(found, rows)


def header(**changes: Any) -> bytes:
    """A file of one float64 whose header claims something else."""
    out = io.BytesIO()
    described = {"descr": "<f8", "fortran_order": False, "shape": (1,)}
    npy.write_array_header_1_0(out, described | changes)
    return out.getvalue() + bytes(8)


FILES = {
    "nothing": (b"", "not in a .npy file"),
    "a web page": (b"<!doctype html>", "not in a .npy file"),
    "an archive": (b"PK\x03\x04", "not in a .npy file"),
    "a later version": (b"\x93NUMPY\x09\x00" + bytes(64), "not in a .npy file"),
    "no header": (b"\x93NUMPY\x01\x00\xff\xff{", "not in a .npy file"),
    "a program": (header(descr="__import__('os').abort()"), "not in a .npy file"),
    "objects": (saved(np.array([print])), "of type object"),
    "text": (saved(np.array(["a"])), "of type <U1"),
    "records": (saved(np.zeros(2, [("a", "f4")])), "of type"),
    "half": (saved(np.zeros(4))[:-8], "shorter than its header says"),
    "2^60 rows": (header(shape=(2**60,)), "shorter than its header says"),
    "a negative shape": (header(shape=(-1,)), "header says"),
}


@pytest.mark.parametrize("case", FILES)
def test_what_is_no_file_of_numbers_is_refused(case: str, refused: Callable[..., None]) -> None:
    data, says = FILES[case]
    refused(lambda: read_rows(data), "InvalidModel", "rows for calibration", "numpy.save", says)


def test_two_negative_sizes_are_no_array(refused: Callable[..., None]) -> None:
    """Their product is the size of the file."""
    refused(lambda: read_rows(header(shape=(-1, -1))), "InvalidModel", "header says")
