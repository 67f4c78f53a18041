"""What the readers refuse a file for."""

from __future__ import annotations

from securemodel_share.errors import Finding, Reason, ShareError, refusal

from . import limits

SAVE_AGAIN = "save the model again (model.save('model.keras')) and set spec.model.sha256 anew"
SEE_DOCS = "supported layers: docs/layers.md"


def invalid(problem: str, advice: str = SAVE_AGAIN) -> ShareError:
    """The file is damaged, or is not what it should be."""
    return refusal([Finding(reason=Reason.INVALID_MODEL, problem=problem, advice=advice)])


def unsupported(problem: str, layer: str = "") -> ShareError:
    """The file says what is not understood."""
    return refusal(
        [Finding(reason=Reason.UNSUPPORTED_LAYER, layer=layer, problem=problem, advice=SEE_DOCS)]
    )


def too_large(size: int) -> ShareError:
    """Reading a file of `size` bytes took more memory than it may."""
    return invalid(
        f"reading the file took more than {limits.memory(size) >> 20} MiB of memory, which no "
        f"model of its {size} bytes needs"
    )
