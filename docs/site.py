"""What the site takes from outside docs/: README as its first page, and what pages link to."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[1]
BESIDE: Final = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
    "benchmarks/README.md": "benchmarks.md",
    "benchmarks/results.json": "results.json",
    "benchmarks/results.svg": "results.svg",
    "benchmarks/scale.svg": "scale.svg",
    "deploy/k8s/chart/README.md": "chart.md",
}
"""Files of the repository, and where the site has them."""
_link = re.compile(r"(\]\(|\bsrc=\"|\bhref=\")([^)\s\"#:]+)")


def on_files(files: Files, *, config: MkDocsConfig, **_: Any) -> Files:
    """Add what is beside docs/."""
    for source, place in BESIDE.items():
        content = (ROOT / source).read_bytes()
        files.append(File.generated(config, place, content=content))
    files.append(File.generated(config, "adr/index.md", content=_decisions()))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Make links between files of the repository links between pages of the site."""
    places = {place: source for source, place in BESIDE.items()}
    source = places.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    here = posixpath.dirname(source)

    def renamed(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(here, found[2]))
        place = BESIDE.get(target) or target.removeprefix("docs/")
        if place == "adr":
            place = "adr/index.md"
        start = posixpath.dirname(page.file.src_uri) or "."
        return found[1] + posixpath.relpath(place, start)

    return _link.sub(renamed, markdown)


def _decisions() -> str:
    """A list of the decisions, by their headings."""
    found = [
        f"- [{page.read_text(encoding='utf-8').partition(chr(10))[0].lstrip('# ')}]({page.name})"
        for page in sorted((ROOT / "docs" / "adr").glob("*.md"))
    ]
    return "\n".join(["# Decisions", "", *found, ""])
