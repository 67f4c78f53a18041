"""Matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .activations import Activated
from .base import training
from .settings import count, flag, only

if TYPE_CHECKING:
    from .base import Shape

NOT_QUANTISED = only(None, advice="save the model before it is quantised")


class Dense(Activated):
    """A matrix product on the last axis."""

    settings: ClassVar = Activated.settings | {
        "units": count(),
        "use_bias": flag(default=True),
        "quantization_config": NOT_QUANTISED,
    }
    ignored: ClassVar = training("kernel", "bias")

    def weights(self) -> dict[str, Shape]:
        kernel = (None, self["units"])
        return {"kernel": kernel} | ({"bias": (self["units"],)} if self["use_bias"] else {})

    def lower(self, tfe: Any, x: Any, /) -> Any:
        kernel = self.stored["kernel"]
        if int(x.shape[-1]) != len(kernel):
            raise ValueError(f"its kernel is {kernel.shape}")
        y = tfe.matmul(x, tfe.define_private_variable(kernel))
        return y + tfe.define_private_variable(self.stored["bias"]) if self["use_bias"] else y
