"""Which files a program imports, and whom a change concerns."""

from __future__ import annotations

from pathlib import Path

import pytest

from jetmesh.operate.up.changes import Change, Changes
from jetmesh.operate.up.imports import Imports

FILES = {
    "garage/__init__.py": "",
    "garage/system.py": "import jetmesh",
    "garage/shared.py": "import os",
    "garage/contracts/__init__.py": "",
    "garage/contracts/car.py": "from msgspec import Struct",
    "garage/gate.py": "from garage.contracts.car import Car",
    "garage/desk.py": "def late():\n    from . import shared\n    from .pages import page",
    "garage/pages/__init__.py": "",
    "garage/pages/page.py": "import json",
    "garage/pages/page.html": "",
    "cmd/desk/main.py": "from garage import desk",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


@pytest.fixture
def changes(root: Path) -> Changes:
    changes = Changes(root, "garage.system", settings=root / "jetmesh.toml")
    changes.follow({"gate": "garage.gate", "desk": str(root / "cmd/desk/main.py")})
    return changes


def changed(changes: Changes, root: Path, *names: str) -> Change:
    return changes.of({root / name for name in names})


def names(root: Path, target: str) -> set[str]:
    return {str(path.relative_to(root)) for path in Imports([root]).files(target)}


def test_imports_are_followed_with_the_packages_around_them(root: Path) -> None:
    assert names(root, "garage.gate") == {
        "garage/__init__.py",
        "garage/gate.py",
        "garage/contracts/__init__.py",
        "garage/contracts/car.py",
    }


def test_relative_and_late_imports_of_a_program_are_followed(root: Path) -> None:
    found = names(root, str(root / "cmd/desk/main.py"))
    assert {"garage/desk.py", "garage/shared.py", "garage/pages/page.py"} <= found
    assert "garage/gate.py" not in found


@pytest.mark.parametrize(
    ("name", "concerned"),
    [
        ("garage/gate.py", {"gate"}),
        ("garage/contracts/car.py", {"gate"}),
        ("garage/shared.py", {"desk"}),
        ("garage/pages/page.html", {"desk"}),
        ("garage/__init__.py", {"gate", "desk"}),
        ("jetmesh.toml", {"gate", "desk"}),
        ("tests/test_gate.py", set()),
        ("README.md", set()),
    ],
)
def test_a_change_concerns_who_imports_it(
    changes: Changes, root: Path, name: str, concerned: set[str]
) -> None:
    assert changed(changes, root, name).concerned == concerned


def test_a_module_that_is_imported_since_counts_from_then_on(changes: Changes, root: Path) -> None:
    (root / "garage/gate.py").write_text("from garage import shared")
    assert changed(changes, root, "garage/gate.py").concerned == {"gate"}
    assert changed(changes, root, "garage/shared.py").concerned == {"gate", "desk"}


def test_a_module_that_was_removed_concerns_who_imported_it(changes: Changes, root: Path) -> None:
    (root / "garage/contracts/car.py").unlink()
    assert changed(changes, root, "garage/contracts/car.py").concerned == {"gate"}


def test_what_cannot_be_run_stops_nothing_and_is_named(changes: Changes, root: Path) -> None:
    (root / "garage/gate.py").write_text("\ndef (")
    change = changed(changes, root, "garage/gate.py")
    assert change.concerned == set()
    assert change.refused == (
        f"{root}/garage/gate.py:2: invalid syntax; what runs stays as it was",
    )
    (root / "garage/gate.py").write_text("")
    assert changed(changes, root, "garage/gate.py").concerned == {"gate"}


def test_the_list_of_services_is_read_again_when_it_changes(changes: Changes, root: Path) -> None:
    assert changed(changes, root, "garage/system.py").listing
    assert not changed(changes, root, "garage/gate.py").listing


def test_a_program_outside_of_the_project_is_its_own_file(root: Path) -> None:
    """What shows the contracts is the mesh's; reading its imports ended the watching."""
    program = root / "elsewhere" / "main.py"
    program.parent.mkdir()
    program.write_text("import os\nimport garage.shared")
    found = Imports([root / "garage"]).files(str(program))
    assert program in found
