"""Which system a command is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from jetmesh.errors import UsageError
from jetmesh.operate.project import find_project


def write(directory: Path, system: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "pyproject.toml").write_text(f'[tool.jetmesh]\nsystem = "{system}"')


def test_the_nearest_pyproject_counts(tmp_path: Path) -> None:
    write(tmp_path, "outer:system")
    write(tmp_path / "inner", "inner:system")
    below = tmp_path / "inner" / "cmd"
    below.mkdir()
    project = find_project(start=below, environ={})
    assert (project.root, project.reference) == ((tmp_path / "inner").resolve(), "inner:system")


def test_a_pyproject_of_something_else_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "outer:system")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "pyproject.toml").write_text('[project]\nname = "other"')
    assert find_project(start=tmp_path / "inner", environ={}).reference == "outer:system"


def test_the_option_wins_over_the_variable_over_the_file(tmp_path: Path) -> None:
    write(tmp_path, "file:system")
    environ = {"JETMESH_SYSTEM": "variable:system"}
    assert find_project(start=tmp_path, environ=environ).reference == "variable:system"
    assert find_project("option:system", start=tmp_path, environ=environ).reference == (
        "option:system"
    )


def test_a_broken_pyproject_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool")
    with pytest.raises(UsageError, match=r"pyproject\.toml cannot be read"):
        find_project(start=tmp_path, environ={})


def test_no_system_anywhere_is_told_with_every_way_to_name_one() -> None:
    with pytest.raises(UsageError) as caught:
        find_project(start=Path("/"), environ={})
    assert "[tool.jetmesh]" in caught.value.remedy
    assert "JETMESH_SYSTEM" in caught.value.remedy
    assert "--system" in caught.value.remedy
