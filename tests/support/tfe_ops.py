"""Compiles the native code that TF Encrypted 0.9.1 needs (tfe_ops.cc) for this TensorFlow.

    import tfe_ops
    tfe_ops.install()      # after this, in this process, TF Encrypted has secure random numbers

It needs g++ and libsodium's headers; tests/cluster/tfe-ops.sh installs them. The result is kept in
the cache, keyed by what it is made from; it runs on any processor.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from securemodel_share.tfe.compat import tf, tfe

SOURCE = Path(__file__).with_suffix(".cc")


def library() -> Path:
    """The compiled operations."""
    flags = [flag.replace("-I", "-isystem") for flag in tf.sysconfig.get_compile_flags()]
    link = tf.sysconfig.get_link_flags()
    command = ["g++", "-O3", "-shared", "-fPIC", str(SOURCE), *flags, *link]

    made_from = "\0".join([tf.__version__, *command, SOURCE.read_text()])
    key = hashlib.sha256(made_from.encode()).hexdigest()[:16]
    cache = Path(os.environ.get("SECUREMODEL_CACHE", Path.home() / ".cache/securemodel"))
    built = cache / "tfe-ops" / f"{key}.so"
    if not built.exists():
        _compile(command, built)
    return built


def _compile(command: list[str], built: Path) -> None:
    """Into another file first, so that an interrupted build leaves no library behind."""
    if not shutil.which("g++") or not Path("/usr/include/sodium.h").exists():
        raise RuntimeError(
            "TF Encrypted's operations are compiled here, which needs g++ and libsodium "
            "(on Debian: apt-get install g++ libsodium-dev)"
        )
    built.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=built.parent) as folder:
        aside = Path(folder) / "ops.so"
        subprocess.run([*command, "-lsodium", "-o", str(aside)], check=True)
        aside.rename(built)


def install() -> None:
    """Makes TF Encrypted use the compiled operations in this process."""
    module = tf.load_op_library(str(library()))
    tfe.operations.secure_random.secure_random.secure_random_module = module
    tfe.operations.aux.aux.aux_module = module


if __name__ == "__main__":
    library()
