"""What a file is, by its first bytes: a model, or by name what is no model that is read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .refused import SAVE_AGAIN, invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HDF5 = b"\x89HDF\r\n\x1a\n"
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
# HDF5 allows as many bytes before it, or twice as many, and so on
USER_BLOCK = 512
BEGINNING = 4096
KERAS = "save the model in Keras with model.save('model.keras')"
CONVERT = f"{KERAS}; models of other frameworks are not read"
GIVE_WEIGHTS = (
    "give the file of weights as the model and this one as spec.model.architecture (--architecture)"
)
FETCH_FILE = "give the address of the file itself (the raw or download link)"


def _starts(*prefixes: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(prefixes)


def _holds(pattern: bytes) -> Callable[[bytes], bool]:
    """Whether the beginning matches, in any case of letters."""
    return lambda data: re.match(pattern, data[:BEGINNING], re.IGNORECASE | re.DOTALL) is not None


# In order: a test, what it is, and what to do.
NO_MODELS: Sequence[tuple[Callable[[bytes], bool], str, str]] = (
    (lambda data: not data, "the artifact is empty", SAVE_AGAIN),
    (
        _starts(b"version https://git-lfs"),
        "the artifact is a Git LFS pointer, not the file that it stands for",
        "run 'git lfs pull' and store the file itself, or give the address that serves it",
    ),
    (
        _holds(rb"\s*(<!doctype|<html|<head|<\?xml|<!--)"),
        "the artifact is a web page (HTML), not a model",
        FETCH_FILE,
    ),
    (
        _holds(rb"\s*[{\[].{0,400}[\"']nbformat|\s*\{\s*\"cells\""),
        "the artifact is a Jupyter notebook, not a model",
        KERAS,
    ),
    (
        _holds(rb"\s*\{.*\"class_name\""),
        "the artifact is an architecture (JSON) without weights",
        GIVE_WEIGHTS,
    ),
    (_holds(rb"\s*[{\[]"), "the artifact is JSON, not a model", FETCH_FILE),
    (
        _starts(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."),
        "the artifact is a PyTorch file (a pickle, which is code and is not loaded)",
        CONVERT,
    ),
    (
        _holds(rb"\x80[\x02-\x05]|c[\w.]+\n[\w.]+\n|\((dp|lp|i\w)"),
        "the artifact is a pickle, which is code and is not loaded",
        KERAS,
    ),
    (lambda data: data[4:8] == b"TFL3", "the artifact is a TFLite file", KERAS),
    (_starts(b"\x93NUMPY"), "the artifact is a NumPy array (.npy), not a model", KERAS),
    (_starts(b"\x1f\x8b"), "the artifact is compressed with gzip", "store the file in it"),
    (
        _starts(b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!", b"\x28\xb5\x2f\xfd"),
        "the artifact is a compressed archive",
        "store the file in it",
    ),
    (
        lambda data: data[257:262] == b"ustar",
        "the artifact is a tar archive",
        "store the file in it",
    ),
    (lambda data: data[8:10] == b'{"', "the artifact is a safetensors file", CONVERT),
    (_starts(b"GGUF"), "the artifact is a GGUF file", CONVERT),
    (
        _starts(b"\x08\x01\x12"),
        "the artifact is a TensorFlow SavedModel (.pb)",
        "load it in Keras and save the model with model.save('model.keras')",
    ),
    (
        _holds(rb"\x08[\x03-\x1f][\x12\x1a\x22\x2a\x32\x3a\x42]"),
        "the artifact is an ONNX file, which is not read yet",
        KERAS,
    ),
    (
        _holds(rb"\n.{1,3}\n.{0,200}(Placeholder|Const|NoOp)"),
        "the artifact is a TensorFlow graph (.pb)",
        KERAS,
    ),
)


def is_zip(data: bytes) -> bool:
    """Whether a file is a zip, as .keras files are."""
    return data.startswith(ZIP)


def _is_hdf5(data: bytes) -> bool:
    at = 0
    while at < len(data):
        if data[at : at + len(HDF5)] == HDF5:
            return True
        at = 2 * at or USER_BLOCK
    return False


def check(data: bytes) -> None:
    """Refuses what is neither HDF5 nor a zip.

    Raises:
        ShareError: InvalidModel, saying what it is.
    """
    if is_zip(data) or _is_hdf5(data):
        return
    for test, what, advice in NO_MODELS:
        if test(data):
            raise invalid(what, advice)
    raise invalid(
        "the artifact is not an HDF5 file (.h5) and not a .keras file, or its beginning is missing "
        "or truncated"
    )


def check_zip(names: list[str]) -> None:
    """Refuses a zip of something else, by the names in it.

    Raises:
        ShareError: InvalidModel, saying what it is.
    """
    if "config.json" in names and "metadata.json" in names:
        return
    ends = {name.rsplit("/", 1)[-1] for name in names}
    if "data.pkl" in ends:
        raise invalid("the artifact is a PyTorch file (a zip with a pickle in it)", CONVERT)
    if "saved_model.pb" in ends:
        raise invalid("the artifact is a zip of a TensorFlow SavedModel", KERAS)
    if names and all(name.endswith(".npy") for name in names):
        raise invalid("the artifact is a file of NumPy arrays (.npz), not a model", KERAS)
    models = [name for name in names if name.endswith((".h5", ".hdf5", ".keras"))]
    if models:
        raise invalid(f"the artifact is a zip of {models[0]!r:.80}", "store the file in it")
    raise invalid("the artifact is a zip file, but no .keras file", KERAS)
