"""Words to text states with CLIP: prompts of any length, in chunks that the encoder can take, with weights on words."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from gesso.errors import InvalidRequest
from gesso.model import Conditioning
from gesso_plugins.diffusion.emphasis import parse

AESTHETIC, NEGATIVE_AESTHETIC = 6.0, 2.5
"""The scores that the refiner of SDXL is asked for, and led away from, as in diffusers."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """One window of the encoder: token ids with begin, end and padding, and the weight of each. ``learned``: vectors by their places."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]
    learned: tuple[tuple[int, Tensor], ...] = ()

    @property
    def weighted(self) -> bool:
        """Whether any weight is not 1."""
        return any(weight != 1.0 for weight in self.weights)


class ClipText:
    """A CLIP tokenizer and text encoder. A prompt longer than the encoder's window is cut into chunks, each encoded with its own begin and
    end, and joined along the tokens. ``layer``: which hidden states are heard, counted from the end; the last, normalised, where None.
    """

    def __init__(self, tokenizer: Any, encoder: Any, device: torch.device, layer: int | None = None) -> None:
        self.tokenizer = tokenizer
        self.networks = (encoder,)
        self._encoder = encoder
        self._device = device
        self._layer = layer
        self._window = int(encoder.config.max_position_embeddings)
        self._table: Any = next(part for name, part in encoder.named_modules() if name.endswith("token_embedding"))
        self._learned: dict[str, Tensor] = {}

    def learn(self, words: Mapping[str, Mapping[int, Tensor]]) -> None:
        """Words that stand for vectors, by their width, from now on; none any more for an empty mapping."""
        width = self._table.embedding_dim
        for word, vectors in words.items():
            if width not in vectors:
                raise InvalidRequest(
                    f"The embedding {word!r} was made for another base: this text encoder takes vectors of {width} numbers.",
                    field="embedding",
                    hint="Leave it out, or use a model that it was made for.",
                )
        self._learned = {word: vectors[width] for word, vectors in words.items()}

    def encode(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text, each computed alone, so that grouping changes no bit."""
        return [Conditioning(self.hear(text)[0]) for text in texts]

    def hear(self, text: str, least: int = 1) -> tuple[Tensor, Tensor]:
        """The states (1, L, D) of a text and what its first chunk comes to as a whole (1, P): projected, where the encoder projects.

        ``least``: so many chunks, the last of them empty, beside an encoder that cuts the text into more.
        """
        chunks = self.chunks(text)
        chunks += [self._filled([], self._window - 2)] * (least - len(chunks))
        heard = [self._heard(chunk) for chunk in chunks]
        return torch.cat([states for states, _ in heard], dim=1), heard[0][1]

    def _heard(self, chunk: Chunk) -> tuple[Tensor, Tensor]:
        """A weight w moves its token's state from what the empty prompt has there: empty + w * (state - empty), as in ComfyUI. So 0 is
        "not said", and no weight shifts the other tokens.
        """
        with self._with_vectors(chunk.learned):
            states, pooled = self._encoded(chunk.ids)
        if chunk.weighted:
            empty, _ = self._encoded(self._filled([], self._window - 2).ids)
            states = weighted(states, empty, chunk.weights)
        return states, pooled

    @contextlib.contextmanager
    def _with_vectors(self, learned: Sequence[tuple[int, Tensor]]) -> Iterator[None]:
        """The table of tokens with these vectors at their places."""
        if not learned:
            yield
            return
        table = self._table

        def looked_up(ids: Tensor) -> Tensor:
            found: Tensor = type(table).forward(table, ids).clone()
            for place, vector in learned:
                found[:, place] = vector.to(found)
            return found

        table.forward = looked_up
        try:
            yield
        finally:
            del table.forward

    def _encoded(self, ids: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        output = self._encoder(torch.tensor([ids], device=self._device), output_hidden_states=self._layer is not None)
        states = output.last_hidden_state if self._layer is None else output.hidden_states[self._layer]
        pooled = output.text_embeds if hasattr(output, "text_embeds") else output.pooler_output
        return states.to(torch.float32), pooled.to(torch.float32)

    def chunks(self, text: str) -> list[Chunk]:
        """The prompt in windows: begin, tokens, end, padding."""
        rows: list[list[tuple[int | Tensor, float]]] = [[]]
        room = self._window - 2
        for part in parse(text):
            if part.breaks:
                rows.append([])
            for token in self._tokens(part.text):
                if len(rows[-1]) == room:
                    rows.append([])
                rows[-1].append((token, part.weight))
        return [self._filled(row, room) for row in rows]

    def _tokens(self, text: str) -> Iterator[int | Tensor]:
        """Numbers of tokens, and the vectors of learned words in their places."""
        pieces = [text]
        if self._learned:
            names = "|".join(re.escape(word) for word in sorted(self._learned, key=len, reverse=True))
            pieces = re.split(rf"(?<![\w-])({names})(?![\w-])", text)
        for piece in pieces:
            if piece in self._learned:
                yield from self._learned[piece]
            elif piece.strip() or len(pieces) == 1:
                yield from map(int, self.tokenizer(piece, add_special_tokens=False, verbose=False).input_ids)

    def _filled(self, row: Sequence[tuple[int | Tensor, float]], room: int) -> Chunk:
        tokenizer, missing = self.tokenizer, room - len(row)
        numbers = (0 if isinstance(token, Tensor) else token for token, _ in row)
        ids = (tokenizer.bos_token_id, *numbers, tokenizer.eos_token_id, *[tokenizer.pad_token_id] * missing)
        learned = tuple((place, token) for place, (token, _) in enumerate(row, 1) if isinstance(token, Tensor))
        return Chunk(ids, (1.0, *(weight for _, weight in row), 1.0, *[1.0] * missing), learned)


def weighted(states: Tensor, empty: Tensor, weights: Sequence[float]) -> Tensor:
    """States (1, L, D) moved from those of the empty prompt by the weight of each token."""
    return empty + torch.tensor(weights, device=states.device).view(1, -1, 1) * (states - empty)


class ManyWords:
    """Several encoders side by side: their penultimate states joined along the features; the pooled state is the last one's.

    ``zeros``: an empty negative prompt is all zeros. ``scored``: conditionings carry an aesthetic score.
    """

    def __init__(self, encoders: Sequence[ClipText], *, zeros: bool, scored: bool) -> None:
        self._encoders = encoders
        self._zeros = zeros
        self._scored = scored

    def learn(self, words: Mapping[str, Mapping[int, Tensor]]) -> None:
        """Words that stand for vectors, each encoder's own."""
        for encoder in self._encoders:
            encoder.learn(words)

    @property
    def networks(self) -> Sequence[nn.Module]:
        """The text encoders."""
        return [network for encoder in self._encoders for network in encoder.networks]

    def encode(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text, each computed alone."""
        return [self._one(text, AESTHETIC) for text in texts]

    def encode_negative(self, texts: Sequence[str]) -> list[Conditioning]:
        """Zeros for an empty text where the model was trained so."""
        conds = [self._one(text, NEGATIVE_AESTHETIC) for text in texts]
        return [_zeroed(cond) if self._zeros and not text.strip() else cond for text, cond in zip(texts, conds, strict=True)]

    def _one(self, text: str, score: float) -> Conditioning:
        count = max(len(encoder.chunks(text)) for encoder in self._encoders)
        heard = [encoder.hear(text, count) for encoder in self._encoders]
        extras = {"aesthetic": torch.tensor([[score]])} if self._scored else {}
        return Conditioning(torch.cat([states for states, _ in heard], dim=-1), heard[-1][1], extras)


def _zeroed(cond: Conditioning) -> Conditioning:
    assert cond.pooled is not None
    return replace(cond, tokens=cond.tokens * 0.0, pooled=cond.pooled * 0.0)
