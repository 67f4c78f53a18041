"""TF Encrypted 0.9.1 beside a current TensorFlow: `from .compat import tf, tfe`.

TF Encrypted wants names that are gone: pkg_resources, the ONNX converter's dependencies,
`tf.Dimension`. None of them is used here; stand-ins that fail when called are enough to record
programs.
"""

from __future__ import annotations

import logging
import os
import sys
import types
from typing import Any, NoReturn

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # read when TensorFlow is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # says so on every start
logging.getLogger("tf_encrypted").setLevel(
    logging.ERROR
)  # misses its own random numbers, which recording does not use


def _absent(name: str) -> Any:
    def refuse(*_args: object, **_kwargs: object) -> NoReturn:
        raise NotImplementedError(f"{name} is not available")

    return refuse


def _stand_in(module: str, **names: Any) -> None:
    stub = types.ModuleType(module)
    for name, value in names.items():
        setattr(stub, name, value)
    sys.modules.setdefault(module, stub)


try:
    import pkg_resources  # noqa: F401
except ImportError:

    class DistributionNotFound(Exception):  # noqa: N818 - the name that TF Encrypted catches
        pass

    def get_distribution(name: str) -> NoReturn:
        raise DistributionNotFound(name)

    _stand_in(
        "pkg_resources",
        DistributionNotFound=DistributionNotFound,
        get_distribution=get_distribution,
    )

_stand_in("tf_encrypted.convert", Converter=_absent("the ONNX converter"))

import tensorflow as tf  # noqa: E402
from tensorflow.python.ops import while_v2  # noqa: E402

if not hasattr(tf, "Dimension"):
    tf.Dimension = tf.compat.v1.Dimension
if not hasattr(while_v2, "glob_stateful_parallelism"):
    while_v2.glob_stateful_parallelism = False

import tf_encrypted as tfe  # noqa: E402

__all__ = ["tf", "tfe"]
