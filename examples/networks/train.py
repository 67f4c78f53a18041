"""Trains the two deep networks and says how many held-out images they tell apart.

Writes NAME.keras beside this file. A quarter of an hour each on two cores.

uv run python examples/networks/train.py resnet20
uv run python examples/networks/train.py mobilenet
"""

import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import data
import keras
import numpy as np
from keras import layers

HERE = Path(__file__).parent
CLASSES = 10
BATCH = 64
HELD_OUT = 2000
WHITE = 255  # of a picture's bytes


@dataclass(frozen=True)
class Plan:
    """A network and how it is trained. `pixels`: its inputs are 0 to this."""

    network: Callable[[int], keras.Model]
    size: int
    pixels: int
    images: int
    epochs: int
    rate: float


def resnet20(size: int) -> keras.Model:
    """ResNet-20 (He et al., 2016, section 4.2), its shortcuts projections where shapes differ."""
    x = image = layers.Input((size, size, 3))
    x = _normalised(layers.Conv2D(16, 3, padding="same", use_bias=False)(x))
    x = layers.ReLU()(x)
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        x = _block(x, filters, stride)
        x = _block(x, filters, 1)
        x = _block(x, filters, 1)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax")(x), name="resnet20")


def _block(x: keras.KerasTensor, filters: int, stride: int) -> keras.KerasTensor:
    def convolved(of: keras.KerasTensor, size: int, step: int) -> keras.KerasTensor:
        convolution = layers.Conv2D(filters, size, step, padding="same", use_bias=False)
        return _normalised(convolution(of))

    y = layers.ReLU()(convolved(x, 3, stride))
    y = convolved(y, 3, 1)
    shortcut = x if stride == 1 else convolved(x, 1, stride)
    return layers.ReLU()(layers.Add()([y, shortcut]))


def _normalised(x: keras.KerasTensor) -> keras.KerasTensor:
    # a short training: the moving averages must follow faster than Keras's default
    return layers.BatchNormalization(momentum=0.9)(x)


def mobilenet(size: int) -> keras.Model:
    """MobileNet (Howard et al., 2017) as Keras Applications has it, on pixels of 0 to 255."""
    body = keras.applications.MobileNet(
        (size, size, 3), alpha=0.3125, weights=None, classes=CLASSES, dropout=0.1
    )
    for layer in body.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.9
    image = layers.Input((size, size, 3))
    scaled = layers.Rescaling(1 / 127.5, offset=-1)(image)
    return keras.Model(image, body(scaled), name="mobilenet")


PLANS = {
    "resnet20": Plan(resnet20, size=32, pixels=1, images=12000, epochs=8, rate=3e-3),
    "mobilenet": Plan(mobilenet, size=64, pixels=WHITE, images=40000, epochs=5, rate=3e-3),
}


def save(weights: list[np.ndarray], plan: Plan, file: Path) -> None:
    """As a .keras file without the optimizer's state, and with weights of half precision, which
    compress to half the size.
    """
    keras.utils.clear_session()  # layers are numbered from one again
    model = plan.network(plan.size)
    model.set_weights([w.astype(np.float16).astype(np.float32) for w in weights])
    model.save(file)
    with zipfile.ZipFile(file) as stored:
        contents = {name: stored.read(name) for name in stored.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as smaller:
        for name, content in contents.items():
            smaller.writestr(name, content)


def _scaled(images: np.ndarray, plan: Plan) -> np.ndarray:
    return images if plan.pixels == WHITE else images * np.float32(plan.pixels / WHITE)


def main(name: str) -> None:
    plan = PLANS[name]
    keras.utils.set_random_seed(data.SEED)
    images, labels = data.training(plan.images, plan.size)
    model = plan.network(plan.size)
    print(f"{name}: {model.count_params()} parameters")

    steps = plan.epochs * -(-plan.images // BATCH)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(plan.rate, steps)),
        keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    model.fit(_scaled(images, plan), labels, BATCH, plan.epochs, verbose=2)

    save(model.get_weights(), plan, HERE / f"{name}.keras")
    images, labels = data.held_out(HELD_OUT, plan.size)
    stored = keras.models.load_model(HERE / f"{name}.keras")
    right = stored.predict(_scaled(images, plan), verbose=0).argmax(-1) == labels
    print(f"{name}: held-out accuracy {right.mean():.4f} of {HELD_OUT} images")


if __name__ == "__main__":
    main(sys.argv[1])
