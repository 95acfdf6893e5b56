"""Fixtures of the sampler tests: the oracles. k-diffusion's sampling.py is loaded alone, because its package needs torchvision."""

from __future__ import annotations

import importlib.util
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def k_diffusion() -> Any:
    """k-diffusion's `sampling` module, untouched."""
    found = importlib.util.find_spec("k_diffusion")
    if found is None or found.origin is None:
        pytest.skip("the oracle is missing: pip install --no-deps k-diffusion torchsde torchdiffeq trampoline")
    package = types.ModuleType("k_diffusion_oracle")
    package.__path__ = [str(Path(found.origin).parent)]
    utils = types.ModuleType("k_diffusion_oracle.utils")
    utils.append_dims = lambda x, dims: x[(...,) + (None,) * (dims - x.ndim)]  # type: ignore[attr-defined]
    sys.modules |= {"k_diffusion_oracle": package, "k_diffusion_oracle.utils": utils}
    spec = importlib.util.spec_from_file_location("k_diffusion_oracle.sampling", Path(found.origin).parent / "sampling.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spec.loader.exec_module(module)
    return module
