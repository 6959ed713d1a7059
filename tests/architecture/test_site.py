"""The documentation builds as a site, in which no link is broken and nothing is asked of others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(directory)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return directory


def test_every_page_has_its_place_and_the_first_one_is_the_readme(site: Path) -> None:
    pages = {page.relative_to(site).as_posix() for page in site.rglob("*.html")}
    assert {"index.html", "api.html", "changelog.html", "adr/index.html"} <= pages
    assert "Two commands" in (site / "index.html").read_text()


def test_the_reference_explains_what_users_import(site: Path) -> None:
    reference = (site / "api.html").read_text()
    for name in ("jetmesh.Service.on", "jetmesh.runtime.publishing.Publisher.publish"):
        assert f'id="{name}"' in reference, name


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    loaded = re.compile(r'<(?:script|link|img)[^>]*(?:src|href)="(https?://[^"]+)"')
    found = {url for page in site.rglob("*.html") for url in loaded.findall(page.read_text())}
    assert found == set()
