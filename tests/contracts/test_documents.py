"""Documents that make a claim about the code are held to it: error codes, dependencies, links."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

from gesso.errors import by_code

ROOT = Path(__file__).resolve().parents[2]
IN_HOSTS = {"bpy", "gpu", "krita", "mathutils", "pykrita", "PyQt5", "PyQt6"}
"""What comes with the host application that a bridge is copied into."""
FIRST_PARTY = {"gesso", "gesso_plugins", "gesso_bridges"}

DISTRIBUTIONS = {"c2pa": "c2pa-python", "PIL": "pillow", "zmq": "pyzmq", "jsonschema_rs": "jsonschema-rs"}
"""Modules whose distribution has another name."""


def project() -> dict[str, object]:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert isinstance(table, dict)
    return table


def requirement_names(requirements: object) -> set[str]:
    assert isinstance(requirements, list)
    return {re.split(r"[\s<>=!~\[;]", text, maxsplit=1)[0].lower() for text in requirements}


def extras() -> dict[str, list[str]]:
    table = project()["optional-dependencies"]
    assert isinstance(table, dict)
    return table


def troubleshooting() -> dict[str, str]:
    """Code -> the text of its entry."""
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    parts = re.split(r"^### `([a-z_]+)`.*$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_error_code_has_one_entry_and_no_entry_is_left_over() -> None:
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    headings = re.findall(r"^### `([a-z_]+)`", text, flags=re.MULTILINE)
    assert sorted(headings) == sorted(by_code())


@pytest.mark.parametrize("code", sorted(by_code()))
def test_each_entry_says_what_happened_and_how_to_mend_it(code: str) -> None:
    entry = troubleshooting()[code]
    assert re.search(r"\*\*Fix\.\*\* \S", entry)
    assert len(entry.split("**Fix.**")[0].split()) >= 8, "say what happened"


def test_every_dependency_stands_in_the_list_of_licences() -> None:
    declared = requirement_names(project()["dependencies"])
    for requirements in extras().values():
        declared |= requirement_names(requirements)
    rows = re.findall(
        r"^\| `([A-Za-z0-9_.-]+)` \| ([^|]+) \| ([^|]+) \|", (ROOT / "docs/dependencies.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    listed = {name.lower() for name, _, _ in rows}
    assert listed == declared
    assert all(licence.strip() and purpose.strip() for _, licence, purpose in rows)


def imported(folder: str) -> dict[str, str]:
    """Top-level modules imported anywhere below the folder, each with one file that does it."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in names:
                found.setdefault(name.partition(".")[0], str(path.relative_to(ROOT)))
    return found


@pytest.mark.parametrize("folder", ["core", "plugins", "bridges"])
def test_what_is_imported_is_declared(folder: str) -> None:
    declared = requirement_names(project()["dependencies"]) | requirement_names(extras()["train"] + extras()["credentials"])
    stray = {
        name: path
        for name, path in imported(folder).items()
        if name not in sys.stdlib_module_names | FIRST_PARTY | IN_HOSTS and DISTRIBUTIONS.get(name, name).lower() not in declared
    }
    # The pytest fixtures for plugin authors are imported by pytest itself.
    assert {name: path for name, path in stray.items() if not (name == "pytest" and path.startswith("core/gesso/testing/"))} == {}


def links() -> list[tuple[str, str]]:
    pages = [
        ROOT / "README.md",
        ROOT / "ARCHITECTURE.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    ]
    found = []
    for page in pages:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:|#", target):
                found.append((str(page.relative_to(ROOT)), target))
    return found


def test_every_relative_link_leads_somewhere() -> None:
    assert links()
    dead = [(page, target) for page, target in links() if not (ROOT / page).parent.joinpath(target.partition("#")[0]).exists()]
    assert dead == []
