"""A file format each: bytes to a Model. Nothing in a file is run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import h5

if TYPE_CHECKING:
    from securemodel_share.model import Model


def read_model(data: bytes) -> Model:
    """The model in the bytes of a file.

    Raises:
        ShareError: InvalidModel or UnsupportedLayer, naming what was found.
    """
    return h5.read(data)
