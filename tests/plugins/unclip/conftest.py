"""A tiny pipeline in memory and on disk, made once; and a studio that knows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.plugins.unclip import pipelines


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return pipelines.build(tmp_path_factory.mktemp("parts"))


@pytest.fixture(scope="session")
def karlo(parts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pipelines.save(parts, tmp_path_factory.mktemp("unclip") / "karlo")


@pytest.fixture
def making(studio: Any, karlo: Path) -> Callable[..., Any]:
    """`generate` with the pipeline in few steps."""
    studio.add("karlo", karlo, "unclip")
    few = {"unclip": {"prior_steps": 3, "upsampler_steps": 3}}
    asked = {"prompt": "mossy brick", "model": "karlo", "seed": 5, "steps": 3, "options": few}
    return lambda blobs=None, **more: studio.make("generate", {**asked, **more}, blobs)
