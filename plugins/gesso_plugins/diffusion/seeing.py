"""Words that are heard together with a picture, by Qwen 2.5 VL with its eyes. It knows no denoiser."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gesso.errors import InvalidRequest
from gesso.media.images import to_uint8
from gesso.model import Conditioning

EYE = "<|image_pad|>"
"""Stands for each of the picture's places in a message."""
_MULTIPLE = 32
_EYES = {"shortest_edge": 56 * 56, "longest_edge": 112**2 * 1024}
"""Pixels that Qwen 2.5 VL looks at, as its makers' configuration for these models has them."""


@dataclass(frozen=True)
class Sight:
    """How a model was shown pictures: what stands before one, after it and after the words; how many first tokens the denoiser never saw;
    about how many pixels the picture had; and the most tokens of the words.
    """

    template: tuple[str, str, str]
    drop: int
    pixels: int
    most: int = 1024


class SeeingWords:
    """The last states of a message with a picture in it. A picture must have been shown before words are heard."""

    def __init__(self, tokenizer: Any, encoder: Any, device: torch.device, sight: Sight) -> None:
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

        self.networks = (encoder,)
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._device = device
        self._sight = sight
        self._eyes = Qwen2VLImageProcessorPil(size=_EYES)
        self._picture: Tensor | None = None

    def look(self, picture: Tensor | None) -> None:
        """From now on words are heard with this picture (1, 3, H, W) in 0..1."""
        self._picture = picture

    def encode(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text, as long as text and picture."""
        if self._picture is None:
            raise InvalidRequest("This model changes a picture by words and was given none.", field="image", hint="Give an image.")
        seen = self._seen(self._picture)
        return [Conditioning(self._heard(text, *seen)) for text in texts]

    def _seen(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Patches (N, D) of the picture, and how many there are in time, down and across (1, 3)."""
        from PIL import Image

        height, width = picture.shape[2:]
        size = shown_size(width, height, self._sight.pixels)
        shown = Image.fromarray(to_uint8(picture)).resize(size, Image.Resampling.LANCZOS)
        found = self._eyes(images=[shown], return_tensors="pt")
        return found["pixel_values"].to(self._device), found["image_grid_thw"].to(self._device)

    def _heard(self, text: str, patches: Tensor, grid: Tensor) -> Tensor:
        """(1, L, D). Each place of the picture has a row and a column for the language model, which it was trained with; diffusers with
        transformers 5 leaves that out (its issue 14194).
        """
        config, ids = self._encoder.config, self._ids(text, int(grid.prod()) // self._encoder.config.vision_config.spatial_merge_size**2)
        message = torch.tensor([ids], device=self._device)
        output = self._encoder(
            input_ids=message,
            pixel_values=patches,
            image_grid_thw=grid,
            mm_token_type_ids=(message == config.image_token_id).int(),
            output_hidden_states=True,
            use_cache=False,
        )
        states: Tensor = output.hidden_states[-1][:, self._sight.drop :]
        return states.to(torch.float32)

    def _ids(self, text: str, places: int) -> list[int]:
        """The tokens of the message; InvalidRequest where the words have too many, or hold the token that stands for a picture."""
        before, between, after = self._sight.template
        words = self._tokens(text)
        if len(words) > self._sight.most:
            said = f"The prompt has {len(words)} tokens, and this model hears {self._sight.most}."
            raise InvalidRequest(said, field="prompt", hint="Shorten it.")
        eye = self._encoder.config.image_token_id
        if eye in words:
            raise InvalidRequest(f"The prompt holds {EYE}, which stands for the picture.", field="prompt", hint="Leave it out.")
        return [*self._tokens(before), *[eye] * places, *self._tokens(between + text + after)]

    def _tokens(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, verbose=False, add_special_tokens=False).input_ids
        return ids


def shown_size(width: int, height: int, pixels: int) -> tuple[int, int]:
    """(width, height) of about so many pixels in the same proportions, in steps of 32."""
    ratio = width / height
    across = math.sqrt(pixels * ratio)
    return max(1, round(across / _MULTIPLE)) * _MULTIPLE, max(1, round(across / ratio / _MULTIPLE)) * _MULTIPLE
