"""File formats of models: bytes to a Model. Nothing in a file is run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import answer, isolation

if TYPE_CHECKING:
    from securemodel_share.model import Model


def read_model(data: bytes, architecture: bytes | None = None) -> Model:
    """The model in the bytes of a file, which is parsed in a process of its own. `architecture`:
    JSON of `model.to_json()`, for a file of weights.

    Raises:
        ShareError: InvalidModel or UnsupportedLayer, naming what was found.
    """
    return answer.widened(isolation.read(data, architecture))


def read_here(data: bytes, architecture: bytes | None = None) -> Model:
    """As `read_model`, in this process: for bytes that one made oneself.

    Raises:
        ShareError: InvalidModel or UnsupportedLayer, naming what was found.
    """
    from . import formats  # noqa: PLC0415 - the parser stays out of other processes

    return answer.widened(formats.read(data, architecture))
