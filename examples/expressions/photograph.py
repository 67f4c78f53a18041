"""A face from a photograph that a package ships, as `fer` prepares it: face.npy beside this file.

The photograph is scikit-image's `astronaut` (Eileen Collins; NASA, public domain).

uv run python examples/expressions/photograph.py
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
from fetch import unpacked

HERE = Path(__file__).parent
PACKAGE = "scikit-image==0.26.0"
WHEEL_SHA256 = "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af"
DATA = "skimage/data"
# left, top, width and height, as the detector that fer uses finds it (OpenCV's Haar cascade)
BOX = (177, 66, 95, 95)
AROUND = 10  # fer's own margin, in pixels
SIZE = 64
GREY = (0.299, 0.587, 0.114)  # of red, green, blue


def data() -> Path:
    """The folder of scikit-image's pictures, fetched if it is not there yet."""
    return unpacked(PACKAGE, WHEEL_SHA256) / DATA


def prepared(grey: np.ndarray) -> np.ndarray:
    """Grey pictures (B, height, width) of 0 to 255 as the network wants them, (B, 64, 64, 1)."""
    resized = np.round(tf.image.resize(grey[..., None], (SIZE, SIZE)).numpy())
    return ((resized / 255 - 0.5) * 2).astype(np.float32)


def face() -> np.ndarray:
    """(1, 64, 64, 1), in [-1, 1]."""
    colours = tf.io.decode_png((data() / "astronaut.png").read_bytes(), channels=3).numpy()
    left, top, width, height = BOX
    rows = slice(top - AROUND, top + height + AROUND)
    columns = slice(left - AROUND, left + width + AROUND)
    return prepared(np.round(colours[rows, columns] @ GREY)[None])


if __name__ == "__main__":
    np.save(HERE / "face.npy", face())
