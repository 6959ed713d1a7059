"""Links between documents lead to files and headings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_code = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_link = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)")
_heading = re.compile(r"^#+\s+(.*?)\s*#*$", re.MULTILINE)


@pytest.fixture
def documents(files: list[Path]) -> list[Path]:
    return [path for path in files if path.suffix == ".md"]


def test_every_link_between_documents_leads_somewhere(documents: list[Path], root: Path) -> None:
    broken = [
        f"{path.relative_to(root)}: {target}"
        for path in documents
        for target in _link.findall(_code.sub("", path.read_text()))
        if "://" not in target and not target.startswith("mailto:") and not leads(path, target)
    ]
    assert broken == []


def test_no_document_is_empty(documents: list[Path], root: Path) -> None:
    assert [str(path.relative_to(root)) for path in documents if not path.read_text().strip()] == []


def leads(path: Path, target: str) -> bool:
    name, _, fragment = target.partition("#")
    file = path.parent / name if name else path
    if not file.exists():
        return False
    return not fragment or file.suffix != ".md" or fragment in anchors(file.read_text())


def anchors(text: str) -> set[str]:
    """The names of the headings, as the web pages that show them make them."""
    fenced = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
    headings = _heading.findall(fenced.sub("", text))
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }
