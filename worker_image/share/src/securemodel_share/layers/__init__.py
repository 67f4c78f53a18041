"""Keras layers, a class each, by family (base.py says what a class declares). A new family is a
file in this folder; nothing has to name it.
"""

from __future__ import annotations

import importlib
import pkgutil

from .base import LAYERS, LayerType

for _family in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_family.name}")

__all__ = ["LAYERS", "LayerType"]
