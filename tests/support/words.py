"""The files of contract/, and the tables of docs/ that say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "contract"


def contents(name: str) -> Any:
    """A JSON file of contract/."""
    return json.loads((FOLDER / name).read_text())


def document(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def table(name: str, heading: str) -> list[list[str]]:
    """The rows of the table of a document that begins with these columns, as lists of cells."""
    text = document(name)
    _, found, rest = text.partition(f"\n| {heading} |")
    if not found:
        raise ValueError(f"docs/{name} has no table with the columns {heading}")
    rows = []
    for line in rest.splitlines()[2:]:
        if not line.startswith("|"):
            break
        cells = line.replace("\\|", "").strip("|").split("|")
        rows.append([cell.strip() for cell in cells])
    return rows
