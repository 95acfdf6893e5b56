"""The model family `clip`: a transformers directory of a `CLIPModel` or `SiglipModel`, as unit vectors of pictures and words."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional

from gesso.manifest import ModelEntry
from gesso.media.preparing import Pixels, Preparing
from gesso.model import ModelCard
from gesso.model.directory import directory_card, preparation
from gesso.model.network import NetworkModel
from gesso_plugins.clip.choice import CAPABILITY, LIKENS
from gesso_plugins.clip.views import views

CLASSES = ("CLIPModel", "SiglipModel")
REMEMBERED = 4096
"""Texts whose vectors are kept: more than a vocabulary of captions has."""


class ClipFamily:
    """Recognises, describes and loads such a directory."""

    name = "clip"

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card, from configuration files alone; raises ModelError with the fix."""
        return directory_card(entry, self.name, CLASSES, (CAPABILITY, LIKENS))

    def load(self, card: ModelCard, on: torch.device) -> ClipModel:
        """The weights on the device."""
        import transformers

        assert card.path is not None
        network = getattr(transformers, card.info["architecture"]).from_pretrained(
            card.path, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(card.path, local_files_only=True, trust_remote_code=False)
        return ClipModel(card, network.eval().requires_grad_(False).to(on), tokenizer, preparation(card.path))


class ClipModel(NetworkModel):
    """`gesso.model.Embeds`, and the loss ``distance`` of the capability ``likeness``. The newest texts are remembered: the words of a
    job are asked for again with each of its pictures.
    """

    def __init__(self, card: ModelCard, network: Any, tokenizer: Any, settings: Mapping[str, Any]) -> None:
        super().__init__(card, network, {"distance": self._distance})
        self._clip = network
        self._tokenizer = tokenizer
        self.preparing = Preparing.of(int(network.config.vision_config.image_size), settings)
        self._length = int(network.config.text_config.max_position_embeddings)
        self._texts: OrderedDict[str, torch.Tensor] = OrderedDict()

    def embed_images(self, pictures: Sequence[Pixels]) -> torch.Tensor:
        """All in one forward."""
        return _unit(self._clip.get_image_features(pixel_values=self.preparing(pictures).to(self._clip.device)))

    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Those that are new in one forward."""
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]
        if new:
            words = self._tokenizer(new, padding="max_length", max_length=self._length, truncation=True, return_tensors="pt")
            found = _unit(self._clip.get_text_features(input_ids=words.input_ids.to(self._clip.device)))
            self._texts.update(zip(new, found, strict=True))
        vectors = []
        for text in texts:
            self._texts.move_to_end(text)
            vectors.append(self._texts[text])
        while len(self._texts) > REMEMBERED:
            self._texts.popitem(last=False)
        return torch.stack(vectors)

    def _distance(self, inputs: Mapping[str, Any]) -> torch.Tensor:
        """``distance`` of picture (1, 3, H, W) in 0..1 from text: 1 - cosine, the mean over ``views`` of the picture; differentiable."""
        with torch.no_grad():
            words = self.embed_texts((inputs["text"],)).to(self._clip.device)
        squares = views(inputs["picture"].to(self._clip.device), inputs["views"])
        sizes = dict.fromkeys(square.shape for square in squares)
        pixels = [self.preparing.differentiable(torch.stack([each for each in squares if each.shape == size])) for size in sizes]
        seen = _normalised(self._clip.get_image_features(pixel_values=torch.cat(pixels)))
        return 1.0 - (seen @ words[0]).mean()


def _unit(found: Any) -> torch.Tensor:
    return _normalised(found).cpu()


def _normalised(found: Any) -> torch.Tensor:
    """Unit vectors; newer versions of transformers wrap what they give."""
    vectors = found if isinstance(found, torch.Tensor) else found.pooler_output
    return functional.normalize(vectors.float(), dim=-1)
