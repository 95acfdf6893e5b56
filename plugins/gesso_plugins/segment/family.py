"""The model family `clipseg`: the `CLIPSegForImageSegmentation` of transformers (Lüddecke and Ecker 2022), which says of each place in a
picture whether it belongs to what words name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from gesso.manifest import ModelEntry
from gesso.media.preparing import Preparing
from gesso.model import ModelCard
from gesso.model.directory import directory_card, preparation
from gesso.model.network import NetworkModel

CLASS = "CLIPSegForImageSegmentation"
CAPABILITY = "segment"
SIDE = 352
"""Pixels a side at which pictures are seen where a directory does not say: what the published weights were trained at."""


class ClipSegFamily:
    """Recognises, describes and loads such a directory."""

    name = "clipseg"

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card, from configuration files alone; raises ModelError with the fix."""
        return directory_card(entry, self.name, (CLASS,), (CAPABILITY,))

    def load(self, card: ModelCard, on: torch.device) -> ClipSegModel:
        """The weights on the device."""
        import transformers

        path = card.path
        assert path is not None
        network = transformers.CLIPSegForImageSegmentation.from_pretrained(
            path, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        return ClipSegModel(card, network.eval().requires_grad_(False).to(on), tokenizer, preparation(path))


class ClipSegModel(NetworkModel):
    """Method ``segment`` (picture: uint8 (H, W, 3), words) -> how surely each place belongs to what the words name, float32 (h, w) in
    0..1, of the size at which the network sees.
    """

    def __init__(self, card: ModelCard, network: Any, tokenizer: Any, settings: Mapping[str, Any]) -> None:
        super().__init__(card, network, {CAPABILITY: self._segment})
        self._seg = network
        self._tokenizer = tokenizer
        self.preparing = Preparing.of(_side(settings), settings)

    def _segment(self, inputs: Mapping[str, Any]) -> torch.Tensor:
        length = int(self._seg.config.text_config.max_position_embeddings)
        words = self._tokenizer([inputs["words"]], truncation=True, max_length=length, return_tensors="pt").to(self._seg.device)
        seen = self.preparing([inputs["picture"]]).to(self._seg.device)
        logits = self._seg(input_ids=words.input_ids, attention_mask=words.attention_mask, pixel_values=seen).logits
        found: torch.Tensor = logits.reshape(logits.shape[-2:]).sigmoid().cpu()
        return found


def _side(settings: Mapping[str, Any]) -> int:
    """The side of what the network is shown, as processors of several generations write it."""
    size = settings.get("size", SIDE)
    return int(size.get("height", size.get("shortest_edge", SIDE)) if isinstance(size, Mapping) else size)
