"""Reads a .keras file: a zip of the architecture (config.json) and its weights."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

from . import architecture, h5, hdf5, limits
from .refused import invalid, unsupported

if TYPE_CHECKING:
    from securemodel_share.model import Model

CONFIG = "config.json"
METADATA = "metadata.json"
WEIGHTS = "model.weights.h5"
# weights in several files
SHARDS = "model.weights.json"
# tables of words and the like
ASSETS = "assets/"
MAX_ENTRIES = 1000
MAX_METADATA = 1 << 16
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 1
DAMAGE = (zipfile.BadZipFile, EOFError, NotImplementedError, zipfile.LargeZipFile)


def names(data: bytes) -> list[str]:
    """The names of the files in a zip.

    Raises:
        ShareError: InvalidModel: it is damaged, or has too many.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found = archive.namelist()
    except (*DAMAGE, *hdf5.DAMAGE):
        raise invalid("the artifact is a zip file that is truncated or damaged") from None
    if len(found) > MAX_ENTRIES:
        raise invalid(f"the file is a zip of more than {MAX_ENTRIES} files, not a model")
    return found


def read(data: bytes, given: dict[str, Any] | None) -> Model:
    """The model in the bytes of a .keras file.

    Raises:
        ShareError: InvalidModel or UnsupportedLayer, naming what was found.
    """
    _check(names(data))
    if given is not None:
        raise h5.two_architectures()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            config = architecture.parse(_file(archive, CONFIG, limits.TEXT))
            metadata = json.loads(_file(archive, METADATA, MAX_METADATA))
            weights = _file(archive, WEIGHTS, limits.arrays(len(data)))
    except DAMAGE:
        raise invalid("the .keras file is damaged") from None
    with hdf5.opened(weights) as file:
        return h5.weights(file, config, hdf5.Arrays(len(data)), str(metadata["keras_version"]))


def _check(found: list[str]) -> None:
    for name in (CONFIG, METADATA):
        if found.count(name) != 1:
            raise invalid(f"the .keras file has {found.count(name)} files {name!r}, not one")
    if SHARDS in found:
        raise invalid("the weights are in several files", "save the model without shards")
    if any(name.startswith(ASSETS) and not name.endswith("/") for name in found):
        raise unsupported("the .keras file has assets, which no supported layer reads")
    if found.count(WEIGHTS) != 1:
        raise invalid(f"the .keras file has {found.count(WEIGHTS)} files {WEIGHTS!r}, not one")


def _file(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """A file of the zip, if it is as long as it says, and that is not too much."""
    info = archive.getinfo(name)
    if info.compress_type not in METHODS or info.flag_bits & ENCRYPTED:
        raise invalid(f"{name!r} in the .keras file is compressed in a way that Keras does not use")
    if info.file_size > limit:
        raise invalid(f"{name!r} in the .keras file claims more than {limit >> 20} MiB")
    with archive.open(info) as file:
        content = file.read(limit + 1)
    if len(content) != info.file_size:
        raise invalid(f"{name!r} in the .keras file is not as long as it says")
    return content
