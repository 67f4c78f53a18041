"""Private predictions from a SecureModel.

>>> import securemodel
>>> with securemodel.connect("digits", namespace="default") as model:
...     prediction = model.predict(images)  # (B, 28, 28, 1) floats in, (B, 10) floats out
"""

from .connect import connect
from .errors import (
    InputError,
    ModelNotFoundError,
    PlayerError,
    SecureModelError,
    UnreachableError,
    UntrustedAnswerError,
)
from .model import Model

__all__ = [
    "InputError",
    "Model",
    "ModelNotFoundError",
    "PlayerError",
    "SecureModelError",
    "UnreachableError",
    "UntrustedAnswerError",
    "connect",
]
