"""Private predictions of a SecureModel: the input is shared here, two players are asked, and the answer is put together here."""

from importlib.metadata import version

from .channel import Endpoint
from .discovery import connect
from .errors import (
    ConfigError,
    DigestMismatch,
    Disagreement,
    IdentityError,
    InputError,
    ModelNotFound,
    NotReady,
    PlayerError,
    ProtocolError,
    SecureModelError,
    Unreachable,
)
from .model import Model
from .wire import Metadata

__version__ = version("securemodel")

__all__ = [
    "ConfigError",
    "DigestMismatch",
    "Disagreement",
    "Endpoint",
    "IdentityError",
    "InputError",
    "Metadata",
    "Model",
    "ModelNotFound",
    "NotReady",
    "PlayerError",
    "ProtocolError",
    "SecureModelError",
    "Unreachable",
    "connect",
]
