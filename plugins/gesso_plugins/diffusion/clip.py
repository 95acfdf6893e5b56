"""Words to text states with CLIP: prompts of any length, in chunks that the encoder can take, with weights on words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gesso.model import Conditioning
from gesso_plugins.diffusion.emphasis import parse


@dataclass(frozen=True)
class Chunk:
    """One window of the encoder: token ids with begin, end and padding, and the weight of each."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def weighted(self) -> bool:
        """Whether any weight is not 1."""
        return any(weight != 1.0 for weight in self.weights)


class ClipText:
    """A CLIP tokenizer and text encoder. A prompt longer than the encoder's window is cut into chunks, each encoded with its own begin and
    end, and joined along the tokens.
    """

    def __init__(self, tokenizer: Any, encoder: Any, device: torch.device) -> None:
        self.tokenizer = tokenizer
        self.networks = (encoder,)
        self._encoder = encoder
        self._device = device
        self._window = int(encoder.config.max_position_embeddings)

    def encode(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text, each computed alone, so that grouping changes no bit."""
        return [Conditioning(torch.cat([self._states(chunk) for chunk in self.chunks(text)], dim=1)) for text in texts]

    def _states(self, chunk: Chunk) -> Tensor:
        """A weight w moves its token's state from what the empty prompt has there: empty + w * (state - empty), as in ComfyUI. So 0 is
        "not said", and no weight shifts the other tokens.
        """
        states = self._encoded(chunk.ids)
        if not chunk.weighted:
            return states
        empty = self._encoded(self._filled([], self._window - 2).ids)
        return empty + torch.tensor(chunk.weights, device=self._device).view(1, -1, 1) * (states - empty)

    def _encoded(self, ids: tuple[int, ...]) -> Tensor:
        states: Tensor = self._encoder(torch.tensor([ids], device=self._device))[0]
        return states.to(torch.float32)

    def chunks(self, text: str) -> list[Chunk]:
        """The prompt in windows: begin, tokens, end, padding."""
        rows: list[list[tuple[int, float]]] = [[]]
        room = self._window - 2
        for part in parse(text):
            ids = self.tokenizer(part.text, add_special_tokens=False, verbose=False).input_ids
            if part.breaks:
                rows.append([])
            for token in ids:
                if len(rows[-1]) == room:
                    rows.append([])
                rows[-1].append((int(token), part.weight))
        return [self._filled(row, room) for row in rows]

    def _filled(self, row: list[tuple[int, float]], room: int) -> Chunk:
        tokenizer, missing = self.tokenizer, room - len(row)
        ids = (tokenizer.bos_token_id, *(token for token, _ in row), tokenizer.eos_token_id, *[tokenizer.pad_token_id] * missing)
        return Chunk(ids, (1.0, *(weight for _, weight in row), 1.0, *[1.0] * missing))
