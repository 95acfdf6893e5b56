"""What is checked on an accelerator: `pytest -m gpu tests/gpu`. All of it is marked, so that a default run takes none; asked for on a
machine without CUDA it is skipped. GESSO_TEST_DEVICE=cpu runs there what does not need CUDA itself, to try the tests.
"""

from __future__ import annotations

import os

import pytest
import torch

from gesso.device.environment import settle


@pytest.fixture
def device() -> torch.device:
    """Where the tests compute."""
    wanted = torch.device(os.environ.get("GESSO_TEST_DEVICE", "cuda"))
    if wanted.type == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    settle(wanted)
    return wanted


@pytest.fixture
def cuda(device: torch.device) -> torch.device:
    """A device with CUDA's own memory and random numbers."""
    if device.type != "cuda":
        pytest.skip("this needs CUDA itself")
    return device
