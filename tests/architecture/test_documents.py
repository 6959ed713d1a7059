"""Links between documents lead somewhere, and their tables say what the code says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from docs import tables

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


def test_the_picture_of_the_layers_has_them_in_the_order_that_is_checked(root: Path) -> None:
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]
    (inside,) = (c for c in contracts["contracts"] if c.get("containers") == ["jetmesh"])
    layers = [layer.replace(" | ", ", ") for layer in inside["layers"]]
    drawn = re.findall(r"^ {8}\w+(?:\[.*?\])? --> \w+\[(.*?)\]", internals(root), re.MULTILINE)
    assert ["cli", *drawn] == layers


def internals(root: Path) -> str:
    return (root / "docs" / "internals.md").read_text()


def test_no_document_is_empty(documents: list[Path], root: Path) -> None:
    assert [str(path.relative_to(root)) for path in documents if not path.read_text().strip()] == []


def test_what_remembering_shows_of_the_shop_is_what_the_shop_does(root: Path) -> None:
    page = (root / "docs" / "remembering.md").read_text()
    shown = re.findall(r'^```python title="(.+?)"\n(.*?)^```$', page, re.DOTALL | re.MULTILINE)
    assert len(shown) > 5
    others = [name for name, text in shown if text not in (root / name).read_text()]
    assert others == []


def test_the_tables_are_as_the_code_has_them() -> None:
    stale = [page.name for page in tables.stale()]
    assert stale == [], "`make docs` writes them anew"


def test_every_table_has_its_place() -> None:
    pages = "".join(page.read_text() for page in tables.DOCS.glob("*.md"))
    assert all(f"<!-- table: {name} -->" in pages for name in tables.TABLES)


def test_a_table_that_is_stale_is_renewed() -> None:
    page = "before\n<!-- table: policy -->\n| old |\n<!-- end of table -->\nafter\n"
    renewed = tables.renewed(page)
    assert renewed.startswith("before\n<!-- table: policy -->\n\n| field | default |")
    assert renewed.endswith("|\n\n<!-- end of table -->\nafter\n")
    assert "old" not in renewed
    assert tables.renewed(renewed) == renewed


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
