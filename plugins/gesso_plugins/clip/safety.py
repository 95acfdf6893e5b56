"""The model family `safety-checker`: the `StableDiffusionSafetyChecker` of diffusers, asked for its verdict. It judges; what follows from
it is the content check's affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from gesso.manifest import ModelEntry
from gesso.media.preparing import Preparing
from gesso.model import ModelCard
from gesso.model.directory import directory_card, preparation
from gesso.model.network import NetworkModel
from gesso_plugins.clip.choice import JUDGES

CLASS = "StableDiffusionSafetyChecker"


class SafetyFamily:
    """Recognises, describes and loads such a directory, the `safety_checker` of a pipeline."""

    name = "safety-checker"

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card, from configuration files alone; raises ModelError with the fix."""
        return directory_card(entry, self.name, (CLASS,), (JUDGES,))

    def load(self, card: ModelCard, on: torch.device) -> SafetyModel:
        """The weights on the device."""
        from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

        assert card.path is not None
        network = StableDiffusionSafetyChecker.from_pretrained(card.path, local_files_only=True, use_safetensors=True)
        settings = preparation(card.path) or preparation(card.path.parent / "feature_extractor")
        return SafetyModel(card, network.float().eval().to(on), settings)


class SafetyModel(NetworkModel):
    """Method ``judge`` (pictures: uint8 (H, W, 3)) -> for each whether it is one of those that the checker was made to find."""

    def __init__(self, card: ModelCard, network: Any, settings: Mapping[str, Any]) -> None:
        super().__init__(card, network, {"judge": self._judge})
        self._checker = network
        self.preparing = Preparing.of(int(network.config.vision_config.image_size), settings, crop=True)

    def _judge(self, inputs: Mapping[str, Any]) -> list[bool]:
        """Its verdicts; the pictures that it would blacken are stand-ins."""
        pictures = inputs["pictures"]
        _, verdicts = self._checker(self.preparing(pictures).to(self._checker.device), np.zeros((len(pictures), 1, 1, 3)))
        return [bool(verdict) for verdict in verdicts]
