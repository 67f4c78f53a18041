"""File formats of models: bytes to a Model. Nothing in a file is run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from securemodel_share.model import Model


def read_here(data: bytes, architecture: bytes | None = None) -> Model:
    """As `read_model`, in this process: for bytes that one made oneself.

    Raises:
        ShareError: InvalidModel or UnsupportedLayer, naming what was found.
    """
    from . import answer, formats  # noqa: PLC0415 - other processes need no parser of HDF5

    return answer.widened(formats.read(data, architecture))


def read_model(data: bytes, architecture: bytes | None = None) -> Model:
    """The model in the bytes of a file. `architecture`: JSON of `model.to_json()`, for a file of
    weights.

    Raises:
        ShareError: InvalidModel or UnsupportedLayer, naming what was found.
    """
    return read_here(data, architecture)
