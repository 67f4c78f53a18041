from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import securemodel_operator


def dataclasses_of_the_package() -> Iterator[type]:
    prefix = f"{securemodel_operator.__name__}."
    for module in pkgutil.walk_packages(securemodel_operator.__path__, prefix):
        for _, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if dataclasses.is_dataclass(found) and found.__module__ == module.name:
                yield found


def test_fields_that_could_be_exchanged_unnoticed_are_given_by_keyword() -> None:
    checked = 0
    for found in dataclasses_of_the_package():
        positional = [field.type for field in dataclasses.fields(found) if not field.kw_only]
        assert len(set(positional)) == len(positional), f"{found.__name__} needs kw_only=True"
        checked += 1
    assert checked > 15
