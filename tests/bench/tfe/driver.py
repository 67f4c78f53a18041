"""Predictions by TF Encrypted on three workers (server.py), as users of its Keras layers get them.

python driver.py ABY3|SecureNN '{"server0": "127.0.0.1:4440", ...}' MODEL.h5

Reads lines {"inputs": X.npy, "expected": Y.npy, "repeats": N}. Each request is a fresh private
input that is shared, computed on and revealed. Answers each line with
{"times_ms": [...], "max_error": ...}.
"""

from __future__ import annotations

import json
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np

import tfe_ops
from securemodel_share.readers import read_model
from securemodel_share.tfe.compat import tfe

Predict = Callable[[np.ndarray], np.ndarray]


def compiled(path: Path, rows: int) -> Predict:
    """TF Encrypted's layers with the weights of a stored Keras model, compiled for so many rows."""
    stored = read_model(path.read_bytes())
    layers = [
        {"class_name": layer.kind, "config": dict(layer.config)}
        for layer in stored.layers
        if layer.kind != "InputLayer"
    ]
    layers[0]["config"]["batch_input_shape"] = (rows, *stored.input_shape)
    model = tfe.keras.models.sequential.model_from_config({"layers": layers})
    model.set_weights(
        [
            layer.weights[name]
            for layer in stored.layers
            for name in ("kernel", "bias")
            if name in layer.weights
        ]
    )
    graph = tfe.function(model.call)
    return lambda x: graph(tfe.define_private_variable(x)).reveal().to_native().numpy()


def main() -> None:
    protocol, hosts, path = sys.argv[1:]
    tfe_ops.install()
    config = tfe.RemoteConfig(json.loads(hosts, object_pairs_hook=OrderedDict))
    config.connect_servers()
    tfe.set_config(config)
    tfe.set_protocol({"ABY3": tfe.protocol.ABY3, "SecureNN": tfe.protocol.SecureNN}[protocol]())

    models: dict[int, Predict] = {}
    for line in sys.stdin:
        order = json.loads(line)
        x, expected = np.load(order["inputs"]), np.load(order["expected"])
        if len(x) not in models:
            models[len(x)] = compiled(Path(path), len(x))

        times, errors = [], []
        for _ in range(order["repeats"]):
            begin = time.perf_counter()
            y = models[len(x)](x)
            times.append((time.perf_counter() - begin) * 1e3)
            errors.append(float(np.abs(y - expected).max()))
        sys.stdout.write(json.dumps({"times_ms": times, "max_error": max(errors)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
