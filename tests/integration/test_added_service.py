"""README's "Add a service in fifteen minutes", typed: its test passes, each new file is named."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.command_line import ROOT, jetmesh

_section = re.compile(r"^## Add a service.*?(?=^## )", re.MULTILINE | re.DOTALL)
_file = re.compile(r"`(\S+\.py)`[^\n]*\n\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_status = re.compile(r"^(?: M|\?\?) \S+$", re.MULTILINE)


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.test")
    command = ["git", *who, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.timeout(240)
def test_a_service_is_added_as_readme_says(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "jetmesh", ".jetmesh")
    for name in ("contracts", "pkg", "cmd", "deploy"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in ("pyproject.toml", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path)
    beside = tmp_path / "tests" / "unit" / "shop"
    beside.mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "unit" / "shop" / "test_loyalty.py", beside)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "as it is")
    found = _section.search((ROOT / "README.md").read_text())
    assert found is not None
    files = _file.findall(found[0])
    assert len(files) == 4
    for name, text in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    system = tmp_path / "pkg" / "shop" / "system.py"
    last = '        "shop.storefront",\n'
    system.write_text(system.read_text().replace(last, f'{last}        "shop.fraud_desk",\n'))
    path = ":".join(str(tmp_path / each) for each in ("pkg", "contracts")) + f":{ROOT / 'pkg'}"
    for command in (("contracts",), ("deploy", "init")):
        done = jetmesh(*command, cwd=tmp_path, PYTHONPATH=path)
        assert done.returncode == 0, done.stderr
    test = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", files[3][0]]
    run = subprocess.run(
        test, cwd=tmp_path, env={"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert "1 passed" in run.stdout, run.stdout + run.stderr
    told = {line for line in _status.findall(found[0]) if "objects.yaml" not in line}
    assert set(_status.findall(git(tmp_path, "status", "--short"))) == told
