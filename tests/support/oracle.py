"""TF Encrypted's own SecureNN on the lowering of models: an independent answer to check ours with.

Not secure here: its randomness is TensorFlow's.

    python oracle.py FOLDER        # for each NAME.h5 with inputs NAME.npy, writes NAME.logits.npy
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from securemodel_share.lowering import lower
from securemodel_share.readers import read_model
from securemodel_share.tfe.compat import tf, tfe


def patch_randomness() -> None:
    """TF Encrypted's generator is a compiled operation that this TensorFlow does not have.

    Its fallback needs a seed that it cannot make, and a name that TensorFlow no longer has.
    """
    tf.random_uniform = tf.random.uniform
    tfe.operations.secure_random.secure_seed = lambda name=None: tf.random.uniform(
        [2], maxval=2**31 - 1, dtype=tf.int32, name=name
    )


def patch_max_pooling() -> None:
    """TF Encrypted passes one stride where two are expected, and so fails for every model."""
    native = tfe.tensor.native
    im2col = native.im2col
    native.im2col = lambda x, height, width, strides, padding: im2col(
        x, height, width, (strides,) * 2 if isinstance(strides, int) else strides, padding
    )


def secure_logits(model: Path, x: np.ndarray) -> np.ndarray:
    """What SecureNN computes."""
    # TF Encrypted's cache is keyed by arguments, and outlives the tensors in them
    tfe.protocol.protocol.nodes.clear()
    tfe.set_protocol(tfe.protocol.SecureNN())
    y = lower(read_model(model.read_bytes()), tfe.define_private_variable(x))
    return np.asarray(y.reveal().to_native())


if __name__ == "__main__":
    patch_randomness()
    patch_max_pooling()
    for path in sorted(Path(sys.argv[1]).glob("*.h5")):
        np.save(
            path.with_suffix(".logits.npy"), secure_logits(path, np.load(path.with_suffix(".npy")))
        )
