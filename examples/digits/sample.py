"""Writes crds/samples/digits.yaml: the example network in a ConfigMap, and its SecureModel.

uv run python examples/digits/sample.py
"""

import base64
import hashlib
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

HEADING = (
    "# The example network (examples/digits) in a ConfigMap, and the SecureModel that serves it. "
    "Written by examples/digits/sample.py.\n"
)
TEMPLATE = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: digits-model
binaryData:
  model.h5: |
{data}
---
apiVersion: securemodel.dev/v1alpha1
kind: SecureModel
metadata:
  name: digits
spec:
  model:
    uri: configmap://digits-model/model.h5
    sha256: {sha256}
  players: [{{name: alice}}, {{name: bob}}, {{name: carol}}]
"""


def main() -> None:
    model = (ROOT / "examples/digits/digits.h5").read_bytes()
    lines = textwrap.wrap(base64.b64encode(model).decode(), 160)
    text = TEMPLATE.format(
        sha256=hashlib.sha256(model).hexdigest(), data="\n".join("    " + line for line in lines)
    )
    (ROOT / "crds/samples/digits.yaml").write_text(HEADING + text)


if __name__ == "__main__":
    main()
