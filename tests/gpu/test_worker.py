"""A real worker process on the device: its environment, and equal bytes for equal jobs."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.plugins.conftest import build_pipeline
from tests.worker.front import Front

pytestmark = pytest.mark.gpu
CAT = {"prompt": "a red cat", "model": "tiny", "seed": 5, "width": 32, "height": 32, "steps": 4, "sampler": "euler", "guidance": 4.0}


@pytest.fixture
def front(tmp_path: Path, device: torch.device) -> Iterator[Front]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = build_pipeline(tmp_path)
    capabilities = ["encode_text", "denoise", "decode", "encode_image"]
    entry = {"name": "tiny", "family": "stable-diffusion", "path": str(path), "capabilities": capabilities, "limits": {"smallest": 16}}
    (tmp_path / "models.json").write_text(json.dumps([entry]))
    folder = Path(tempfile.mkdtemp(prefix="gesso-w-", dir="/tmp"))
    with Front(folder, "--models", str(tmp_path / "models.json"), "--device", device.type) as front:
        front.ready()
        yield front
    shutil.rmtree(folder)


def test_exact_jobs_are_equal_and_say_where_they_ran(front: Front, device: torch.device) -> None:
    first = front.run("generate", {**CAT, "count": 2})
    assert first.result is not None, first.error
    assert first.result["environment"]["device"] == device.type
    assert first.result["environment"]["dtype"] == ("float16" if device.type == "cuda" else "float32")
    assert front.run("generate", {**CAT, "count": 2}).blobs == first.blobs
    assert front.run("generate", {**CAT, "seed": 6}).blobs == first.blobs[1:]


def test_fast_jobs_end_too(front: Front) -> None:
    jobs = [front.lease("generate", {**CAT, "seed": seed}, level="fast") for seed in range(4)]
    for job in jobs:
        front.go(job)
    assert {front.end(job).state for job in jobs} == {"done"}
