"""The Inception network: torch-fidelity's answers on equal weights, and files that are none of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gesso.errors import ModelError
from gesso_plugins.evaluation import inception
from gesso_plugins.evaluation.command import _by_inception

# Made once with torch-fidelity 0.4.0 (Apache-2.0): its FeatureExtractorInceptionV3, loaded with an empty torchvision and given the weights
# of `drawn`, answered for the picture of the test: these of its 2048 features, their mean, and these of its unbiased logits.
FEATURES = {0: 0.036555, 500: 0.491958, 1000: 0.232106, 1500: 0.001369, 2047: 0.149625}
MEAN = 0.3327521085739136
LOGITS = {0: 1.345584, 500: -0.787345, 1007: -0.178945}


def drawn() -> dict[str, torch.Tensor]:
    """Random weights under which the signal neither dies nor grows."""
    rng = np.random.default_rng(5)
    found = {}
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in inception.Inception().state_dict().items()}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            continue
        values = rng.standard_normal(shape, dtype=np.float32)
        if name.endswith("running_var"):
            values = 0.5 + np.abs(values)
        elif name.endswith("bn.weight"):
            values = 1 + 0.1 * values
        elif len(shape) > 1:
            values = values * np.sqrt(2 / np.prod(shape[1:]))
        else:
            values = 0.1 * values
        found[name] = torch.from_numpy(values.astype(np.float32))
    return found


def test_features_and_logits_are_those_of_torch_fidelity(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = drawn()
    monkeypatch.setattr(inception, "load_file", lambda path: weights)
    network = inception.load(Path("inception.safetensors"))
    picture = np.random.default_rng(6).integers(0, 256, (40, 56, 3), np.uint8)
    with torch.no_grad():
        features, logits = network(inception.stretched(picture))
    assert float(features.mean()) == pytest.approx(MEAN, rel=1e-4)
    assert [float(features[0, place]) for place in FEATURES] == pytest.approx(list(FEATURES.values()), rel=1e-3, abs=1e-4)
    assert [float(logits[0, place]) for place in LOGITS] == pytest.approx(list(LOGITS.values()), rel=1e-3, abs=1e-4)
    figures = {figure.title: figure for figure in _by_inception(network, [picture, picture], [picture, picture], lambda *_: lambda _: None)}
    assert figures["FID"].made == pytest.approx(0, abs=1e-6)
    assert figures["Inception Score"].made == pytest.approx(1)


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    save_file({"fc.weight": torch.zeros(1000, 2048)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="is not the Inception network of FID") as caught:
        inception.load(tmp_path / "other.safetensors")
    assert (caught.value.code, caught.value.field) == ("model", "inception")
    (tmp_path / "torn.safetensors").write_bytes(b"no header")
    with pytest.raises(ModelError, match="cannot be read"):
        inception.load(tmp_path / "torn.safetensors")
