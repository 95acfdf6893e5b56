"""Words to text states with T5 and with language models. Prompts are never cut; weights on words are heard where the encoder allows it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gesso_plugins.diffusion.clip import weighted
from gesso_plugins.diffusion.emphasis import parse


class T5Text:
    """A T5 tokenizer and encoder. Prompts are padded to ``length`` tokens, as denoisers were trained; longer ones stay whole."""

    def __init__(self, tokenizer: Any, encoder: Any, device: torch.device, length: int) -> None:
        self.networks = (encoder,)
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._device = device
        self._length = length

    def hear(self, text: str) -> tuple[Tensor, int]:
        """The states (1, L, D), and how many tokens at the front are words and the end."""
        tokens = [
            (int(token), part.weight)
            for part in parse(text)
            for token in self._tokenizer(part.text, add_special_tokens=False, verbose=False).input_ids
        ]
        ids = [*(token for token, _ in tokens), self._tokenizer.eos_token_id]
        weights = [*(weight for _, weight in tokens), 1.0]
        length = max(self._length, len(ids))
        states = self._encoded(ids, length)
        if any(weight != 1.0 for weight in weights):
            empty = self._encoded([self._tokenizer.eos_token_id], length)
            states = weighted(states, empty, weights + [1.0] * (length - len(ids)))
        return states, len(ids)

    def _encoded(self, ids: list[int], length: int) -> Tensor:
        padded = ids + [self._tokenizer.pad_token_id] * (length - len(ids))
        states: Tensor = self._encoder(torch.tensor([padded], device=self._device))[0]
        return states.to(torch.float32)
