"""Words to text states with CLIP: prompts of any length, in chunks that the encoder can take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gesso.model import Conditioning


class ClipText:
    """A CLIP tokenizer and text encoder. A prompt longer than the encoder's window is cut into chunks, each encoded with its own begin and
    end, and joined along the tokens.
    """

    def __init__(self, tokenizer: Any, encoder: Any, device: torch.device) -> None:
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._device = device
        self._window = int(encoder.config.max_position_embeddings)

    def encode(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text, each computed alone, so that grouping changes no bit."""
        return [Conditioning(self._states(text)) for text in texts]

    def _states(self, text: str) -> Tensor:
        states = [self._encoder(torch.tensor([ids], device=self._device))[0] for ids in self.chunks(text)]
        return torch.cat(states, dim=1).to(torch.float32)

    def chunks(self, text: str) -> list[list[int]]:
        """Token ids in rows of the encoder's window: begin, tokens, end, padding."""
        tokenizer = self._tokenizer
        ids = list(tokenizer(text, add_special_tokens=False, verbose=False).input_ids)
        room = self._window - 2
        rows = [ids[i : i + room] for i in range(0, len(ids), room)] or [[]]
        padding = tokenizer.pad_token_id
        return [[tokenizer.bos_token_id, *row, tokenizer.eos_token_id, *[padding] * (room - len(row))] for row in rows]
