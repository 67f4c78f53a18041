from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRACKED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
).stdout.split()

LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@pytest.mark.parametrize("name", TRACKED)
def test_links_within_the_documents_lead_somewhere(name: str) -> None:
    document = ROOT / name

    assert [link for link in LINK.findall(document.read_text()) if not leads(document, *link)] == []


def leads(document: Path, path: str, anchor: str) -> bool:
    target = document.parent / path if path else document

    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(document: Path) -> list[str]:
    """The headings as GitHub names them in links."""
    headings = HEADING.findall(document.read_text())
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize(
    ("link", "leads_somewhere"),
    [
        ("[a](other.md)", True),
        ("[a](other.md#what-is-it-here)", True),
        ("[a](#this-one)", True),
        ("[a](https://example.org/gone.md)", True),
        ("[a](gone.md)", False),
        ("[a](other.md#gone)", False),
        ("[a](#gone)", False),
    ],
)
def test_a_link_to_nowhere_is_seen(tmp_path: Path, link: str, leads_somewhere: bool) -> None:
    document = tmp_path / "document.md"
    document.write_text(f"# This one\n{link}\n")
    (tmp_path / "other.md").write_text("## `What` is it, here?\n")

    found = LINK.findall(link)

    assert all(leads(document, *each) for each in found) == leads_somewhere
