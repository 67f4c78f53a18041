"""HDF5 as strangers write it: only what lies in the file itself, and no more than is expected.

Links, external storage and virtual datasets could point anywhere, and a header of a few bytes may
claim any size. The parse runs in a process of its own besides (isolation.py).
"""

from __future__ import annotations

import io
import itertools
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from . import limits
from .refused import invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

BFLOAT16_BYTES = 2
DOUBLE = 8
FILTERS = {
    h5py.h5z.FILTER_DEFLATE,
    h5py.h5z.FILTER_LZF,
    h5py.h5z.FILTER_SHUFFLE,
    h5py.h5z.FILTER_FLETCHER32,
}
# what h5py and Python raise for a damaged file, whatever is wrong with it
DAMAGE = (
    OSError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    RuntimeError,
    ArithmeticError,
)


@contextmanager
def opened(data: bytes) -> Iterator[h5py.File]:
    """The file in these bytes.

    Raises:
        ShareError: InvalidModel.
    """
    try:
        file = h5py.File(io.BytesIO(data), "r")
    except DAMAGE:
        raise invalid("the artifact is not an HDF5 file, or it is truncated") from None
    with file:
        yield file


def text(value: Any) -> str:
    return value if isinstance(value, str) else bytes(value).decode()


def attribute(at: h5py.Group | h5py.Dataset, name: str) -> Any:
    """The value of an attribute; None where there is none."""
    if name not in at.attrs:
        return None
    found = at.attrs.get_id(name)
    if math.prod(found.shape) * found.dtype.itemsize > limits.ATTRIBUTE:
        raise invalid(f"the attribute {name!r} claims more than {limits.ATTRIBUTE >> 20} MiB")
    return at.attrs[name]


def texts(at: h5py.Group, name: str) -> list[str]:
    """An attribute that is a list of names. Keras writes a long one in parts: name0, name1, ..."""
    parts = [attribute(at, name)]
    if parts[0] is None:
        every = (attribute(at, f"{name}{i}") for i in itertools.count())
        parts = list(itertools.takewhile(lambda part: part is not None, every))
    return [text(value) for part in parts for value in np.atleast_1d(part)]


def group(at: h5py.Group, path: str) -> h5py.Group:
    """A group that lies in this file."""
    found = inside(at, path)
    if not isinstance(found, h5py.Group):
        raise invalid(f"{path!r} in the file is not a group")
    return found


def inside(at: h5py.Group, path: str) -> Any:
    """An object that lies in this file: soft and external links could point anywhere."""
    for part in path.split("/"):
        link = at.get(part, getlink=True) if isinstance(at, h5py.Group) else None
        if link is None:
            raise invalid(f"{path!r} is missing from the file")
        if not isinstance(link, h5py.HardLink):
            raise invalid(f"{path!r} is a link to somewhere else, which is not followed")
        at = at[part]
    return at


def datasets(at: h5py.Group, path: str = "") -> Iterator[str]:
    """The paths of all datasets below a group, each object once."""
    seen: set[int] = set()
    waiting = [(path, at)]
    while waiting:
        here, found = waiting.pop()
        for name in found:
            below = f"{here}/{name}" if here else name
            one = inside(found, name)
            address = h5py.h5o.get_info(one.id).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > limits.OBJECTS or len(below) > limits.PATH:
                raise invalid("the file has more groups, or deeper ones, than any model")
            if isinstance(one, h5py.Group):
                waiting.append((below, one))
            else:
                yield below


class Arrays:
    """The arrays of a file; together they may not be larger than its size allows."""

    def __init__(self, size: int) -> None:
        self.left = self.limit = limits.arrays(size)

    def read(self, dataset: Any, where: str) -> np.ndarray:
        """The numbers of a dataset, in the type in which they are stored; bfloat16 as float32.

        Raises:
            ShareError: InvalidModel, with the words `where`.
        """
        if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
            raise invalid(f"{where} is not stored in the file itself")
        bfloat16 = dataset.dtype.kind == "V" and dataset.dtype.itemsize == BFLOAT16_BYTES
        if dataset.dtype.kind not in "fiu" and not (bfloat16 and dataset.dtype.names is None):
            raise invalid(f"{where} is of type {dataset.dtype}, not a number")
        if dataset.shape is None:
            raise invalid(f"{where} is empty")
        self._take(dataset, where)
        value = np.asarray(dataset[()])
        if bfloat16:
            return _from_bfloat16(value)
        return value.astype(np.float64) if value.dtype.itemsize > DOUBLE else value

    def _take(self, dataset: h5py.Dataset, where: str) -> None:
        size = dataset.dtype.itemsize
        plan = dataset.id.get_create_plist()
        filters = {plan.get_filter(i)[0] for i in range(plan.get_nfilters())}
        for code in sorted(filters - FILTERS):
            raise invalid(f"{where} is stored with HDF5's filter {code}, which is not read")
        self.left -= math.prod(dataset.shape) * size
        if self.left < 0 or math.prod(dataset.chunks or ()) * size > self.limit:
            raise invalid(
                f"{where} claims more than there is room for: a file of this size may hold "
                f"{self.limit >> 20} MiB of weights"
            )


def _from_bfloat16(stored: np.ndarray) -> np.ndarray:
    """The upper half of a float32, stored as two opaque bytes."""
    half = np.frombuffer(stored.tobytes(), "<u2").astype("<u4")
    return (half << 16).view("<f4").reshape(stored.shape)
