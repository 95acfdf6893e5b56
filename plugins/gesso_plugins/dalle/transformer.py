"""The transformer (Ramesh et al. 2021, section 2.2 and appendix B.1): one stream of text tokens and image tokens, each given those before.

It runs in two ways that agree: all of a sequence at once, to learn; and token by token with the keys and values of those before, to draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from gesso_plugins.dalle.config import NetworkConfig
from gesso_plugins.dalle.masks import kinds, seen, whole_mask


@dataclass(eq=False)
class Remembered:
    """Keys and values (layers, 2, length + n, D) of a sequence: the text's are there, and those of the first `taken` image tokens."""

    states: torch.Tensor
    taken: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return self.states.nbytes


class Layer(nn.Module):
    """Attention and a network at each place, both after a norm and beside what goes in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.ask = nn.Linear(width, 3 * width)
        self.answer = nn.Linear(width, width)
        self.before_network = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def asked(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values (..., D) of x (..., D)."""
        query, key, value = self.ask(self.before_attention(x)).chunk(3, -1)
        return query, key, value

    def told(self, x: torch.Tensor, asked: tuple[torch.Tensor, torch.Tensor, torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
        """What x (B, S, D) is after it has seen keys and values (B, K, D) where the mask, (S, K) or (B, 1, S, K), is True."""
        query, key, value = (part.reshape(*part.shape[:2], self.heads, -1).transpose(1, 2) for part in asked)
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = x + self.answer(found.transpose(1, 2).flatten(2))
        result: torch.Tensor = x + self.narrow(functional.gelu(self.widen(self.before_network(x))))
        return result


class Transformer(nn.Module):
    """Logits of the next token. Padding has an embedding of its own at each place of the text (section 2.2)."""

    def __init__(self, config: NetworkConfig, words: int | None = None) -> None:
        """words: entries of the text vocabulary, where the one that was learned is smaller than allowed."""
        super().__init__()
        self.length, self.side, self.width = config.length, config.side, config.width
        self.words = config.words if words is None else words
        self.text_embedding = nn.Embedding(self.words + config.length, config.width)
        self.place_embedding = nn.Embedding(config.length, config.width)
        self.image_embedding = nn.Embedding(config.vocabulary, config.width)
        self.row_embedding = nn.Embedding(config.side, config.width)
        self.column_embedding = nn.Embedding(config.side, config.width)
        self.layers = nn.ModuleList(Layer(config.width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.text_head = nn.Linear(config.width, self.words)
        self.image_head = nn.Linear(config.width, config.vocabulary)
        self.kinds = kinds(config.layers)
        for kind in sorted(set(self.kinds)):
            with torch.device("cpu"):  # also where only shapes are wanted
                mask = whole_mask(kind, config.length, config.side, config.kernel)
                places, counts = seen(mask, config.length)
            for name, value in (("mask", mask), ("places", places), ("counts", counts)):
                self.register_buffer(f"{kind}_{name}", value.to(self.image_head.weight.device), persistent=False)
        self.apply(self._begin_small)

    def forward(self, text: torch.Tensor, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Text (B, L) and image tokens (B, n) to the logits of text tokens 1 to L - 1 (B, L - 1, W) and of all image tokens (B, n, V)."""
        x = torch.cat([self._text(text), self._image(image[:, :-1], torch.arange(image.shape[1] - 1, device=image.device))], 1)
        for kind, layer in self._stack():
            x = layer.told(x, layer.asked(x), self._table(kind, "mask")[: x.shape[1], : x.shape[1]])
        x = self.norm(x)
        return self.text_head(x[:, : self.length - 1]), self.image_head(x[:, self.length - 1 :])

    def read(self, text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Text (1, L) to its keys and values (layers, 2, L, D), and the state (1, D) that the first image token follows from."""
        x, states = self._text(text), []
        for kind, layer in self._stack():
            asked = layer.asked(x)
            states.append(torch.stack([asked[1][0], asked[2][0]]))
            x = layer.told(x, asked, self._table(kind, "mask")[: self.length, : self.length])
        return torch.stack(states), self.norm(x)[:, -1]

    def begin(self, states: torch.Tensor, last: torch.Tensor) -> tuple[Remembered, torch.Tensor]:
        """What is remembered after the text that `read` read, and the logits (V,) of the first image token."""
        room = states.new_zeros(*states.shape[:2], self.length + self.side**2, self.width)
        room[:, :, : self.length] = states
        return Remembered(room), self.image_head(last)[0]

    def proceed(self, memories: Sequence[Remembered], tokens: Sequence[int]) -> torch.Tensor:
        """Take one image token into each memory, at whatever place it stands; logits (B, V) of those that follow."""
        device = self.image_head.weight.device
        at = torch.tensor([memory.taken for memory in memories], device=device)
        x = self._image(torch.tensor(tokens, device=device)[:, None], at[:, None])
        for number, (kind, layer) in enumerate(self._stack()):
            query, key, value = layer.asked(x)
            places = self._table(kind, "places")[at]
            for row, memory in enumerate(memories):
                memory.states[number, 0, self.length + memory.taken] = key[row, 0]
                memory.states[number, 1, self.length + memory.taken] = value[row, 0]
            known = torch.stack([memory.states[number][:, places[row]] for row, memory in enumerate(memories)])
            x = layer.told(x, (query, known[:, 0], known[:, 1]), self._table(kind, "counts")[at][:, None, None])
        for memory in memories:
            memory.taken += 1
        logits: torch.Tensor = self.image_head(self.norm(x[:, 0]))
        return logits

    def _stack(self) -> list[tuple[str, Layer]]:
        """The layers, and how each looks."""
        return [(kind, cast(Layer, layer)) for kind, layer in zip(self.kinds, self.layers, strict=True)]

    def _text(self, text: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.text_embedding(text) + self.place_embedding.weight
        return found

    def _image(self, image: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Image tokens (B, m) at their places in reading order, (m,) or (B, m)."""
        place = self.row_embedding(places // self.side) + self.column_embedding(places % self.side)
        found: torch.Tensor = self.image_embedding(image) + place
        return found

    def _table(self, kind: str, name: str) -> torch.Tensor:
        table: torch.Tensor = getattr(self, f"{kind}_{name}")
        return table

    def _begin_small(self, module: nn.Module) -> None:
        """As GPT-2 begins, whose scale the residual branches share."""
        if isinstance(module, nn.Embedding | nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        if isinstance(module, Layer):
            for last in (module.answer, module.narrow):
                nn.init.normal_(last.weight, std=0.02 / (2 * len(self.kinds)) ** 0.5)


def padded(ids: torch.Tensor, end: int, words: int) -> torch.Tensor:
    """Text ids (N, L) as a tokenizer gives them, with the padding of each place (``words`` + place) after the first ``end`` of a row."""
    over = (ids == end).cumsum(1) - (ids == end).long() > 0
    return torch.where(over, words + torch.arange(ids.shape[1]), ids)


def losses(logits: tuple[torch.Tensor, torch.Tensor], text: torch.Tensor, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The cross-entropy of the text and of the image, each a mean over its tokens in the batch (section 2.2). Padding is no token."""
    words = logits[0].shape[-1]
    wanted = torch.where(text[:, 1:] < words, text[:, 1:], -100)
    said = functional.cross_entropy(logits[0].float().flatten(0, 1), wanted.flatten())
    shown = functional.cross_entropy(logits[1].float().flatten(0, 1), image.flatten())
    return said, shown
