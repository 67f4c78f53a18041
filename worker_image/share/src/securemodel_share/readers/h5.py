"""Reads a Keras .h5 file, a whole model or weights, without running anything that is in it.

`keras.models.load_model` can execute code from a file (Lambda layers, custom objects). Here the
architecture is JSON, every layer of which is checked against what its class declares (layers/), and
weights are arrays, which are read only if they lie in the file itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import architecture, graph, hdf5, named, numbered
from .refused import invalid

if TYPE_CHECKING:
    import h5py

    from securemodel_share.model import Model

CONFIG = "model_config"
GROUP = "model_weights"
GIVE_ARCHITECTURE = (
    "save the whole model (model.save('model.keras')), or give the architecture beside it: write "
    "model.to_json() to a file and name it in spec.model.architecture (--architecture)"
)
FINISH = (
    "look for the error with which model.save() ended, correct what it names (Keras 3 cannot save "
    "a layer whose activation was set to None), and save the model again"
)


def read(data: bytes, given: dict[str, Any] | None) -> Model:
    """The model in the bytes of an .h5 file. `given`: the architecture of weights alone.

    Raises:
        ShareError: InvalidModel or UnsupportedLayer, naming what was found.
    """
    with hdf5.opened(data) as file:
        said = hdf5.attribute(file, CONFIG)
        if said is not None:
            if given is not None:
                raise two_architectures()
            config = architecture.parse(hdf5.text(said))
            return _whole(file, config, hdf5.Arrays(len(data)))
        if not file.keys():
            raise invalid("the save did not finish: the file is HDF5 with nothing in it", FINISH)
        if given is None:
            raise invalid("the file holds weights only, not the architecture", GIVE_ARCHITECTURE)
        return weights(file, given, hdf5.Arrays(len(data)), architecture.version(given))


def two_architectures() -> Exception:
    """The refusal of an architecture beside a whole model: which of the two is meant?"""
    return invalid(
        "the file holds the whole model, and an architecture is given besides",
        "leave out spec.model.architecture (--architecture), which is for files of weights",
    )


def _whole(file: h5py.File, config: dict[str, Any], arrays: hdf5.Arrays) -> Model:
    keras = hdf5.text(hdf5.attribute(file, "keras_version") or "")
    if keras.startswith("1."):
        raise architecture.keras_1(keras)
    network = architecture.read(config)
    groups = hdf5.group(file, GROUP)
    found = named.read(groups, network, arrays, renamed=False)
    return graph.flatten(network, found, backend=_backend([file, groups]), keras=keras)


def weights(file: h5py.File, config: dict[str, Any], arrays: hdf5.Arrays, keras: str) -> Model:
    """The model of an architecture, which this version of Keras wrote, with the weights of a file
    in either form.

    Raises:
        ShareError: InvalidModel or UnsupportedLayer, naming what was found.
    """
    network = architecture.read(config)
    backend = str(config.get("backend") or "tensorflow")
    if numbered.is_this(file):
        found = numbered.read(file, network, arrays)
    else:
        groups = hdf5.group(file, GROUP) if GROUP in file else file
        found = named.read(groups, network, arrays, renamed=True)
        backend = _backend([file, groups], backend)
    return graph.flatten(network, found, backend=backend, keras=keras)


def _backend(places: list[h5py.Group], otherwise: str = "tensorflow") -> str:
    """The Keras backend that wrote the weights: noted beside the weights and at the top."""
    noted = [hdf5.attribute(place, "backend") for place in places]
    said = {hdf5.text(value) for value in noted if value is not None}
    if len(said) > 1:
        raise invalid(f"the file names two backends, {' and '.join(sorted(said))}")
    return said.pop() if said else otherwise
