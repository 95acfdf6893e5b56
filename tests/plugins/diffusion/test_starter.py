"""The starter as it is served: what its directory says of padding is kept, without a word on standard error."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gesso.manifest import first_party
from gesso.plugin import build_plugins


def test_the_half_that_goes_down_and_the_middle_keep_their_zeros(capfd: pytest.CaptureFixture[str]) -> None:
    registry = build_plugins(first_party())
    entry = registry.model("starter")
    family = registry.family(entry.family)
    model: Any = family.load(family.inspect(entry), torch.device("cpu"))
    network = model.denoiser.network
    wrapped = model.denoiser.seamless(True, True)
    replaced = {name.partition(".")[0] for name, part in network.named_modules() if "_conv_forward" in vars(part)}
    wrapped.eject()
    assert replaced == {"conv_in", "up_blocks", "conv_out"}
    assert "zero_padded" not in "".join(capfd.readouterr())
