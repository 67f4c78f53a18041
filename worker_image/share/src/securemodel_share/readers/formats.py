"""Which reader a file is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import architecture, archive, h5, hdf5, recognise
from .refused import invalid

if TYPE_CHECKING:
    from securemodel_share.model import Model


def read(data: bytes, given: bytes | None = None) -> Model:
    """The model in the bytes of a file, weights in the types in which they are stored. `given`: its
    architecture, for a file of weights.

    Raises:
        ShareError: InvalidModel or UnsupportedLayer, naming what was found.
    """
    try:
        return _read(data, given)
    except hdf5.DAMAGE as error:
        raise invalid(
            f"the artifact is damaged, or not a Keras model ({type(error).__name__})"
        ) from error


def _read(data: bytes, given: bytes | None) -> Model:
    recognise.check(data)
    config = None if given is None else architecture.parse(given)
    if recognise.is_zip(data):
        recognise.check_zip(archive.names(data))
        return archive.read(data, config)
    return h5.read(data, config)
