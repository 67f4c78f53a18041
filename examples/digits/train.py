"""Trains the example network on scikit-learn's bundled digits, resized to 28 x 28.

Writes digits.h5, digits.npy and labels.npy beside this file.

uv run python examples/digits/train.py
"""

import os
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
import tf_keras as keras
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = Path(__file__).parent
SEED = 7


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training and held-out images, (N, 28, 28, 1) in [0, 1], and their labels."""
    digits = load_digits()
    small = (digits.images / 16.0).astype("float32")[..., None]
    images = np.clip(tf.image.resize(small, (28, 28), method="bilinear").numpy(), 0, 1)
    images = np.round(images * 256) / 256  # exact in half precision, which keeps the file small
    train_x, test_x, train_y, test_y = train_test_split(
        images, digits.target, test_size=360, random_state=SEED, stratify=digits.target
    )
    return train_x, test_x, train_y, test_y


def network() -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            layers.InputLayer((28, 28, 1)),
            layers.Conv2D(10, 3),
            layers.AveragePooling2D(2),
            layers.Activation("relu"),
            layers.Conv2D(32, 3),
            layers.AveragePooling2D(2),
            layers.Activation("relu"),
            layers.Conv2D(64, 3),
            layers.AveragePooling2D(2),
            layers.Activation("relu"),
            layers.Flatten(),
            layers.Dense(10),
        ],
        name="digits",
    )


def main() -> None:
    keras.utils.set_random_seed(SEED)
    train_x, test_x, train_y, test_y = data()
    model = network()

    epochs, batch = 100, 32
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * (len(train_x) // batch))
    model.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )

    shift = keras.layers.RandomTranslation(0.06, 0.06, fill_mode="constant", seed=SEED)
    batches = (
        tf.data.Dataset.from_tensor_slices((train_x, train_y))
        .shuffle(len(train_x), seed=SEED)
        .batch(batch, drop_remainder=True)
    )
    model.fit(batches.map(lambda x, y: (shift(x, training=True), y)), epochs=epochs, verbose=2)

    _, accuracy = model.evaluate(test_x, test_y, verbose=0)
    print(f"held-out accuracy: {accuracy:.4f}")
    model.save(HERE / "digits.h5", include_optimizer=False)
    np.save(HERE / "digits.npy", test_x.astype("float16"))
    np.save(HERE / "labels.npy", test_y.astype("int64"))


if __name__ == "__main__":
    main()
