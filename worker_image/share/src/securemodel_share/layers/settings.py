"""What a key of a layer's configuration may say: the values that are understood, and what to do
about any other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from securemodel_share.errors import Reason

LONGEST = 80
REQUIRED: Any = object()


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The values that are understood. `default` is Keras's, for a key that is not there."""

    understands: Callable[[Any], bool]
    says: str  # the values, for docs/layers.md
    default: Any = REQUIRED
    reason: Reason = Reason.UNSUPPORTED_LAYER
    problem: Callable[[str, Any], str] = lambda key, value: f"has {key} {shown(value)}"
    advice: Callable[[Any], str]
    read: Callable[[Any], Any] = lambda value: value


def shown(value: Any) -> str:
    """A value as a message shows it. Keras writes objects as {"class_name", "config", ...}."""
    if isinstance(value, dict) and "config" in value:
        config = value["config"]
        kind = f"{value.get('class_name')} " if isinstance(config, dict) else ""
        return (kind + repr(config))[:LONGEST]
    return repr(value)[:LONGEST]


def only(*values: Any, advice: str, default: Any = REQUIRED) -> Setting:
    """One of these values. The first stands for a key that is not there, unless `default` does."""
    return Setting(
        understands=lambda value: any(_same(value, v) for v in values),
        says=" or ".join(dict.fromkeys(repr(v) for v in values if v is not None)) or "nothing",
        default=values[0] if default is REQUIRED else default,
        advice=lambda _: advice,
    )


def _same(a: Any, b: Any) -> bool:
    """Equal, where true is not 1."""
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def flag(*, default: bool) -> Setting:
    """True or false."""
    return _of_form(
        lambda value: isinstance(value, bool), "true or false", "either", lambda v: v, default
    )


def count(default: Any = REQUIRED) -> Setting:
    """A whole number from 1."""
    return _of_form(_is_size, "a number", "any", int, default)


def whole(default: Any = REQUIRED) -> Setting:
    """A whole number, negative ones too: an axis."""
    return _of_form(_is_whole, "a whole number", "any", int, default)


def axes(*, least: int = 1) -> Setting:
    """So many axes or more, counted with the batch in front. Keras 2 writes a list of one."""
    return _of_form(
        lambda value: len(_list(value)) >= least and all(map(_is_whole, _list(value))),
        "an axis",
        "any",
        lambda value: tuple(map(int, _list(value))),
        -1,
    )


def sizes(count: int, default: Any = REQUIRED, *, least: int = 1) -> Setting:
    """A whole number from `least` for each of `count` axes, or one for all of them."""

    def understands(value: Any) -> bool:
        return len(_sizes(value, count)) == count and all(
            _is_whole(size) and size >= least for size in _sizes(value, count)
        )

    return _of_form(
        understands, "a size or stride", "any", lambda value: _sizes(value, count), default
    )


def margins(count: int, default: Any) -> Setting:
    """Two whole numbers, before and after, for each of `count` axes; or one for both of an axis, or
    one for all.
    """

    def read(value: Any) -> tuple[tuple[int, ...], ...]:
        if count == 1:
            return (_sizes(value, 2),)
        return tuple(_sizes(of, 2) for of in _sizes(value, count))

    def understands(value: Any) -> bool:
        found = read(value)
        return len(found) == count and all(
            len(of) == 2 and all(_is_whole(size) and size >= 0 for size in of)  # noqa: PLR2004
            for of in found
        )

    return _of_form(understands, "numbers of pixels", "any", read, default)


def shape(*also: int) -> Setting:
    """Whole numbers from 1, one for each axis of a row, or one of `also`."""
    return _of_form(
        lambda value: (
            all(_is_size(size) or size in also for size in _list(value))
            and sum(size in also for size in _list(value)) <= 1
        ),
        "a shape",
        "any",
        lambda value: tuple(map(int, _list(value))),
        REQUIRED,
    )


def optional(setting: Setting) -> Setting:
    """The same, or nothing."""
    return replace(
        setting,
        understands=lambda value: value is None or setting.understands(value),
        read=lambda value: None if value is None else setting.read(value),
        default=None,
    )


def number(says: str, fits: Callable[[float], bool], default: Any, advice: str) -> Setting:
    """A finite number that fits."""

    def understands(value: Any) -> bool:
        found = constant(value)
        return found is not None and found.ndim == 0 and fits(float(found))

    return Setting(
        understands=understands,
        says=says,
        default=default,
        advice=lambda _: advice,
        read=lambda value: float(_constant(value)),
    )


def constants(default: Any = REQUIRED) -> Setting:
    """A finite number, or an array of them."""
    return _of_form(
        lambda value: constant(value) is not None,
        "a number or an array of numbers",
        "any",
        _constant,
        default,
    )


def constant(value: Any) -> np.ndarray | None:
    """Numbers as Keras writes them: plain, in lists, or as an array of numpy."""
    if isinstance(value, dict):
        config = value.get("config")
        value = config.get("value") if isinstance(config, dict) else value.get("value")
    try:
        found = np.array(value)
    except ValueError:  # lists of several lengths
        return None
    return found.astype(np.float64) if found.dtype.kind in "fiu" and _usable(found) else None


def _usable(found: np.ndarray) -> bool:
    return bool(found.size > 0 and np.isfinite(found).all())


def _constant(value: Any) -> np.ndarray:
    return np.asarray(constant(value))


def _of_form(
    understands: Callable[[Any], bool],
    form: str,
    says: str,
    read: Callable[[Any], Any],
    default: Any,
) -> Setting:
    return Setting(
        understands=understands,
        says=says,
        default=default,
        reason=Reason.INVALID_MODEL,
        problem=lambda key, value: f"cannot have {key}: {shown(value)} is not {form}",
        advice=lambda _: "check which file was stored, or save the model again",
        read=read,
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_size(value: Any) -> bool:
    return _is_whole(value) and value > 0


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _sizes(value: Any, count: int) -> tuple[Any, ...]:
    """One for all axes stands for each of them."""
    return tuple(value) if isinstance(value, (list, tuple)) else (value,) * count


FLOATS = ("float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
POLICIES = ("DTypePolicy", "FloatDTypePolicy", "Policy", "PolicyV1")


def _policy(value: Any) -> Any:
    """The name of a dtype policy: Keras writes it as such, or as an object."""
    config = value.get("config") if isinstance(value, dict) else None
    if isinstance(config, dict) and value.get("class_name") in POLICIES:
        return config.get("name")
    return value


INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
OF_FLOATS = "make the model's Input of dtype float32; pixels stay the numbers that they are"
UNQUANTISED = (
    "build the model with dtype policy 'float32', without quantisation, take over the weights "
    "(new.set_weights(old.get_weights())) and save that"
)
# fixed point is more precise than any of these computes; integers and quantised policies mean
# other numbers
DTYPE = Setting(
    understands=lambda value: value is None or _policy(value) in FLOATS,
    says=", ".join(FLOATS),
    default=None,
    problem=lambda _, value: f"has the dtype policy {shown(_policy(value))}",
    advice=lambda value: OF_FLOATS if _policy(value) in INTEGERS else UNQUANTISED,
)
