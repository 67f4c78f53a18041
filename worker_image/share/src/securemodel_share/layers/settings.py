"""What a key of a layer's configuration may say: the values that are understood, and what to do
about any other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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


def count() -> Setting:
    """A whole number from 1."""
    return _of_form(_is_size, "a number", "any", int, REQUIRED)


def pair(default: Any = REQUIRED) -> Setting:
    """One whole number from 1, or two: a size or stride of height and width."""
    return _of_form(_is_pair, "a size or stride", "any", _pair, default)


def optional_pair() -> Setting:
    """The same, or nothing."""
    return _of_form(
        lambda value: value is None or _is_pair(value),
        "a size or stride",
        "any",
        lambda value: None if value is None else _pair(value),
        None,
    )


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


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_pair(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return len(value) == 2 and all(map(_is_size, value))  # noqa: PLR2004 - height, width
    return _is_size(value)


def _pair(value: Any) -> tuple[int, int]:
    height, width = (value, value) if isinstance(value, int) else value
    return int(height), int(width)


FLOATS = ("float32", "float64", "float16", "mixed_float16", "mixed_bfloat16")
POLICIES = ("DTypePolicy", "FloatDTypePolicy", "Policy", "PolicyV1")


def _policy(value: Any) -> Any:
    """The name of a dtype policy: Keras writes it as such, or as an object."""
    config = value.get("config") if isinstance(value, dict) else None
    if isinstance(config, dict) and value.get("class_name") in POLICIES:
        return config.get("name")
    return value


# fixed point is more precise than any of these computes; integers and quantised policies mean
# other numbers
DTYPE = Setting(
    understands=lambda value: value is None or _policy(value) in FLOATS,
    says=", ".join(FLOATS),
    default=None,
    problem=lambda _, value: f"has the dtype policy {shown(_policy(value))}",
    advice=lambda _: (
        "build the model with dtype policy 'float32', without quantisation, take over the weights "
        "(new.set_weights(old.get_weights())) and save that"
    ),
)
