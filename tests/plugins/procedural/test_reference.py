"""The documentation's tables are those of the code, and its pictures are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from gesso_plugins.procedural.reference import with_reference

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_the_page_holds_the_generated_tables() -> None:
    page = (DOCS / "procedural.md").read_text(encoding="utf-8")
    assert with_reference(page) == page, "run tests/plugins/procedural/make_reference.py"


@pytest.mark.parametrize("name", ["procedural-materials.webp", "procedural-maps.webp"])
def test_the_pictures_are_small_webp_files(name: str) -> None:
    data = (DOCS / "pictures" / name).read_bytes()
    assert data[8:12] == b"WEBP"
    assert len(data) <= 400 * 1024
