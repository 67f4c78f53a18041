"""What the reading process is handed, as bytes:

8 bytes    length of the file, little-endian
1 byte     1 if an architecture follows the file
the file, and the architecture
"""

from __future__ import annotations

from typing import IO

LENGTH = 8
# exit status of the process
NO_MEMORY = 3


def write(to: IO[bytes], data: bytes, architecture: bytes | None) -> None:
    """Writes a file and the architecture that is given beside it."""
    to.write(len(data).to_bytes(LENGTH, "little"))
    to.write(bytes([architecture is not None]))
    to.write(data)
    to.write(architecture or b"")


def read(of: IO[bytes]) -> tuple[bytes, bytes | None]:
    """The file and the architecture."""
    length = int.from_bytes(of.read(LENGTH), "little")
    has_architecture = of.read(1) == b"\x01"
    data, rest = of.read(length), of.read()
    return data, rest if has_architecture else None
