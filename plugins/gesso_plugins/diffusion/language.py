"""Words to text states with T5 and with language models. Prompts are never cut; weights on words are heard where the encoder allows it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gesso.errors import InvalidRequest
from gesso_plugins.diffusion.clip import weighted
from gesso_plugins.diffusion.emphasis import parse


class T5Text:
    """A T5 tokenizer and encoder. Prompts are padded to ``length`` tokens, as denoisers were trained; longer ones stay whole.

    ``masked``: the encoder is told which tokens are padding.
    """

    def __init__(self, tokenizer: Any, encoder: Any, device: torch.device, length: int, *, masked: bool = False) -> None:
        self.networks = (encoder,)
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._device = device
        self._length = length
        self._masked = masked

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
        mask = torch.arange(length, device=self._device)[None] < len(ids) if self._masked else None
        states: Tensor = self._encoder(torch.tensor([padded], device=self._device), attention_mask=mask)[0]
        return states.to(torch.float32)


class ChatText:
    """A language model that is told the prompt as a user's message. Brackets are ordinary characters to it: there are no weights.

    ``template``: what stands before and after the prompt. ``layer``: which hidden states are heard, counted from the end. ``most``: the
    longest message in tokens. ``drop``: how many of its first tokens are not passed on.
    """

    def __init__(  # noqa: PLR0913  (each is a fact about one language model)
        self, tokenizer: Any, encoder: Any, device: torch.device, template: tuple[str, str], *, layer: int, most: int, drop: int = 0
    ) -> None:
        self.networks = (encoder,)
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._device = device
        self._template = template
        self._layer = layer
        self._most = most
        self._drop = drop

    def hear(self, text: str) -> Tensor:
        """The states (1, L, D) of the message."""
        output = self._encoder(input_ids=torch.tensor([self.ids(text)], device=self._device), output_hidden_states=True, use_cache=False)
        states: Tensor = output.hidden_states[self._layer][:, self._drop :]
        return states.to(torch.float32)

    def ids(self, text: str) -> list[int]:
        """The tokens of the message; InvalidRequest where there are too many."""
        before, after = self._template
        ids: list[int] = self._tokenizer(f"{before}{text}{after}", verbose=False, add_special_tokens=False).input_ids
        if len(ids) > self._most:
            said = f"The prompt has {len(ids)} tokens, and this model hears {self._most}."
            raise InvalidRequest(said, field="prompt", hint="Shorten it.")
        return ids


class PaddedChatText(ChatText):
    """One of which several ``layers`` are heard, beside each other, and of every message ``length`` tokens."""

    def __init__(
        self, tokenizer: Any, encoder: Any, device: torch.device, template: tuple[str, str], *, layers: tuple[int, ...], length: int
    ) -> None:
        super().__init__(tokenizer, encoder, device, template, layer=-1, most=length)
        self._layers = layers

    def hear(self, text: str) -> Tensor:
        """The states (1, L, D times layers), those of padding too."""
        ids = self.ids(text)
        padding = [self._tokenizer.pad_token_id] * (self._most - len(ids))
        left = self._tokenizer.padding_side == "left"
        told, mask = [*padding, *ids] if left else [*ids, *padding], [0] * len(padding) + [1] * len(ids)
        output = self._encoder(
            input_ids=torch.tensor([told], device=self._device),
            attention_mask=torch.tensor([mask if left else mask[::-1]], device=self._device),
            output_hidden_states=True,
            use_cache=False,
        )
        return torch.cat([output.hidden_states[layer] for layer in self._layers], dim=-1).to(torch.float32)
