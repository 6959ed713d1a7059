"""What the how-to pages show runs as it stands there: services, tests, a page."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

DOCS = Path(__file__).parents[2] / "docs"
_block = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
_file = re.compile(r'^```\w+ title="(.+?)"\n(.*?)^```', re.DOTALL | re.MULTILINE)


def test_a_process_and_its_tests_do_what_the_page_says() -> None:
    names: dict[str, Any] = {"__name__": "processes_page"}
    for block in _block.findall((DOCS / "processes.md").read_text()):
        exec(compile(block, "processes.md", "exec", dont_inherit=True), names)  # noqa: S102 - it is ours
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) > 1
    for test in tests:
        test()


@pytest.fixture
def garage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The files of the tutorial and of the page about live pages."""
    for page in ("tutorial.md", "pages.md"):
        for name, text in _file.findall((DOCS / page).read_text()):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "garage"]:
        del sys.modules[name]


async def test_a_live_page_and_its_test_do_what_the_page_says(garage: Path) -> None:
    names: dict[str, Any] = {"__name__": "test_takings"}
    test = garage / "tests" / "test_takings.py"
    exec(compile(test.read_text(), str(test), "exec", dont_inherit=True), names)  # noqa: S102 - it is ours
    names["test_every_fee_counts_once"]()
    takings: Any = importlib.import_module("garage.takings")
    app = Starlette(routes=takings.pages(takings.Takings()))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://garage.test") as browser:
        shown = await browser.get("/")
        assert (shown.status_code, "Takings" in shown.text) == (200, True)
        for script in ("takings.js", "live.js"):
            assert f"/static/{script}" in (
                shown.text + (garage / "garage/web/static/takings.js").read_text()
            )
            assert (await browser.get(f"/static/{script}")).status_code == 200
