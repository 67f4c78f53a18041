"""What is no model that is read is called by its name, with what to do."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import tarfile
import zipfile
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

import reference
from securemodel_share.readers import read_here

if TYPE_CHECKING:
    from collections.abc import Callable

DIGITS = (reference.DIGITS / "digits.h5").read_bytes()


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return buffer.getvalue()


def arrays(save: Callable[..., None]) -> bytes:
    buffer = io.BytesIO()
    save(buffer, np.ones(3))
    return buffer.getvalue()


def archived() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.h5"))
    return buffer.getvalue()


def unfinished() -> bytes:
    buffer = io.BytesIO()
    h5py.File(buffer, "w").close()
    return buffer.getvalue()


def weights() -> bytes:
    buffer = io.BytesIO(DIGITS)
    with h5py.File(buffer, "r+") as f:
        del f.attrs["model_config"]
    return buffer.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
PAGE = b"\n<!DOCTYPE html><html><body>Sign in</body></html>"
ARCHITECTURE = b'{"class_name": "Sequential", "config": []}'
# a flat buffer: the place of its table, and what it is
TFLITE = b"\x1c\x00\x00\x00TFL3" + bytes(100)
# protocol buffers: a version and what follows
ONNX = b'\x08\x08\x12\x07pytorch\x1a\x052.1.0:\xb9\x01\n"\n\x01x'
SAVED_MODEL = b"\x08\x01\x12\xe4\x98\x01\n\xc6!\n\r\n\x03Add"
GRAPH = b"\n'\n\x01x\x12\x0bPlaceholder*\x0b\n\x05dtype"
# its beginning is a number that PyTorch chose
PYTORCH = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)

NO_MODELS: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "nothing": (b"", ("is empty",)),
    "a Git LFS pointer": (LFS, ("Git LFS pointer", "git lfs pull")),
    "a web page": (PAGE, ("web page (HTML)", "raw or download link")),
    "an XML page": (b"<?xml version='1.0'?><Error/>", ("web page",)),
    "a notebook": (b'{\n "cells": [], "nbformat": 4}', ("Jupyter notebook",)),
    "an architecture": (ARCHITECTURE, ("architecture (JSON) without weights", "--architecture")),
    "JSON": (b'{"message": "Not Found"}', ("is JSON",)),
    "a pickle": (pickle.dumps({"a": 1}), ("pickle", "not loaded")),
    "an old pickle": (pickle.dumps({"a": 1}, 0), ("pickle", "not loaded")),
    "an old PyTorch file": (PYTORCH, ("PyTorch", "other frameworks")),
    "a PyTorch file": (zipped("archive/data.pkl", "archive/data/0"), ("PyTorch",)),
    "TFLite": (TFLITE, ("TFLite",)),
    "ONNX": (ONNX, ("ONNX", "not read yet")),
    "SavedModel": (SAVED_MODEL, ("SavedModel (.pb)", "model.save('model.keras')")),
    "a zip of SavedModel": (
        zipped("m/saved_model.pb", "m/variables/variables.index"),
        ("SavedModel",),
    ),
    "a graph": (GRAPH, ("TensorFlow graph (.pb)",)),
    "an array": (arrays(np.save), (".npy",)),
    "arrays": (arrays(np.savez), (".npz",)),
    "gzip": (gzip.compress(DIGITS), ("gzip", "store the file in it")),
    "a tar archive": (archived(), ("tar archive",)),
    "a zip of a model": (zipped("models/model.h5", "README"), ("zip of 'models/model.h5'",)),
    "a zip": (zipped("a.txt"), ("no .keras file",)),
    "a folder of a .keras file": (zipped("m/config.json", "m/metadata.json"), ("no .keras file",)),
    "an archive": (b"7z\xbc\xaf\x27\x1c" + bytes(30), ("compressed archive",)),
    "safetensors": (b"\x40\0\0\0\0\0\0\0" + b'{"a":{}}', ("safetensors",)),
    "GGUF": (b"GGUF\x03\0\0\0", ("GGUF",)),
    "text": (b"import keras\n", ("not an HDF5 file",)),
    "half of a file": (DIGITS[: len(DIGITS) // 2], ("truncated",)),
    "half of a zip": (zipped("config.json", "metadata.json")[:-30], ("zip", "truncated")),
    "a save that did not finish": (unfinished(), ("save did not finish", "save the model again")),
    "weights": (weights(), ("weights only, not the architecture", "to_json()", "--architecture")),
    "a .keras file without weights": (
        zipped("config.json", "metadata.json"),
        ("0 files 'model.weights.h5'",),
    ),
    "a .keras file with two configurations": (
        zipped("config.json", "config.json", "metadata.json", "model.weights.h5"),
        ("2 files 'config.json'",),
    ),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", NO_MODELS)
def test_what_is_no_model_is_called_by_its_name(case: str, refused: Callable[..., None]) -> None:
    data, says = NO_MODELS[case]
    refused(lambda: read_here(data), "InvalidModel", *says)


def test_an_architecture_beside_a_whole_model_is_refused(refused: Callable[..., None]) -> None:
    """Two architectures: the file says one, and nobody can tell which is meant."""
    refused(
        lambda: read_here(DIGITS, ARCHITECTURE),
        "InvalidModel",
        "holds the whole model",
        "leave out spec.model.architecture",
    )
    keras = zipped("config.json", "metadata.json", "model.weights.h5")
    refused(lambda: read_here(keras, ARCHITECTURE), "InvalidModel", "holds the whole model")


def test_weights_of_a_whole_file_with_their_architecture_are_the_model() -> None:
    with h5py.File(io.BytesIO(DIGITS)) as f:
        text = f.attrs["model_config"]
    text = text if isinstance(text, str) else text.decode()
    assert json.loads(text)["class_name"] == "Sequential"
    there, here = read_here(weights(), text.encode()), read_here(DIGITS)
    for one, other in zip(there.layers, here.layers, strict=True):
        assert one.weights.keys() == other.weights.keys()
        assert all((w == other.weights[name]).all() for name, w in one.weights.items())


def test_a_file_may_begin_after_a_user_block() -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=1024):
        pass
    with pytest.raises(Exception, match="did not finish"):
        read_here(buffer.getvalue())
