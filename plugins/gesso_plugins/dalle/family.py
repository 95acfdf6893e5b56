"""The model family `dalle`: a file of `gesso train dalle` as a model that continues words by the tokens of a picture."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from gesso.errors import InvalidRequest, ModelError
from gesso.library import hashes
from gesso.manifest import ModelEntry
from gesso.model import Conditioning, Defaults, Latent, Limits, ModelCard, Patch, Seamless, overlaid
from gesso.model.seamless import make_seamless
from gesso_plugins.dalle.autoencoder import tokens_of
from gesso_plugins.dalle.storage import FILE, Networks
from gesso_plugins.dalle.transformer import Remembered

CAPABILITIES = frozenset({"encode_text", "next_tokens", "encode_image", "decode"})


class DalleFamily:
    """Describes and loads such a file."""

    name = "dalle"

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card; raises ModelError with the fix."""
        path = entry.path
        if path is None or not path.is_file():
            raise ModelError(f"The model {entry.name!r} has no file at {path}.", hint=FILE.hint)
        told = FILE.told(path)
        side = told.config.image
        return ModelCard(
            name=entry.name,
            family=self.name,
            digest=hashes.shared.of_files(path.parent, [path]),
            title=entry.title,
            path=path,
            capabilities=CAPABILITIES,
            defaults=overlaid(entry.name, Defaults(width=side, height=side), entry.defaults),
            limits=overlaid(entry.name, Limits(side, side, told.config.factor), entry.limits),
            licence=entry.licence,
            latent=Latent(1, told.config.factor),
            info=_info(path, told.record),
        )

    def load(self, card: ModelCard, on: torch.device) -> DalleModel:
        """All three networks on the device."""
        assert card.path is not None
        return DalleModel(card, FILE.load(card.path)[0], on)


def _info(path: Path, record: dict[str, object]) -> dict[str, str]:
    told = ("stage", "step", "cpu_hours")
    return {"bytes": str(path.stat().st_size)} | {str(name): str(record[name]) for name in told if name in record}


class DalleModel:
    """Words as keys and values, the next token after them, and pictures as tokens and back."""

    def __init__(self, card: ModelCard, networks: Networks, on: torch.device) -> None:
        self.card = card
        for network in networks.parts.values():
            network.requires_grad_(False).eval().to(on)
        self._networks = networks
        self._device = on

    @property
    def nbytes(self) -> int:
        """Bytes of all networks."""
        return sum(p.nbytes for network in self._networks.parts.values() for p in network.parameters())

    @contextlib.contextmanager
    def patched(self, patches: Sequence[Patch]) -> Iterator[None]:
        """Seamless padding of the autoencoder; refuses any other."""
        wraps = [patch for patch in patches if isinstance(patch, Seamless)]
        for patch in patches:
            if patch not in wraps:
                raise InvalidRequest(f"The model {self.card.name!r} cannot take {type(patch).__name__}.")
        axes = any(patch.x for patch in wraps), any(patch.y for patch in wraps)
        paddings = [make_seamless(network, *axes) for network in self._networks.autoencoder]
        try:
            yield
        finally:
            for padding in paddings:
                padding.eject()

    def encode_text(self, texts: Sequence[str]) -> list[Conditioning]:
        """One by one, so that equal texts give equal bits whatever is beside them: keys and values (1, L, layers * 2 * D) of each word, and
        the state (1, D) that the picture follows from.
        """
        found = (self._networks.transformer.read(self._networks.text([text]).to(self._device)) for text in texts)
        return [Conditioning(states.movedim(2, 0).flatten(1)[None], last) for states, last in found]

    def begin(self, cond: Conditioning) -> tuple[Remembered, torch.Tensor]:
        """What is remembered of the words, and the logits (V,) of the first token."""
        assert cond.pooled is not None
        layers = len(self._networks.transformer.layers)
        states = cond.tokens[0].to(self._device).reshape(cond.tokens.shape[1], layers, 2, -1).movedim(0, 2)
        return self._networks.transformer.begin(states, cond.pooled.to(self._device))

    def proceed(self, memories: Sequence[Any], tokens: Sequence[int]) -> torch.Tensor:
        """Take a token into each memory; the logits (B, V) of those that follow."""
        return self._networks.transformer.proceed(memories, tokens)

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) in 0..1 to the likeliest tokens (B, 1, h, w) int64."""
        return tokens_of(self._networks.encoder(images.float()))[:, None]

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Tokens (B, 1, h, w) to pictures (B, 3, H, W) float32 in 0..1."""
        return self._networks.decoder.picture(latents[:, 0])

    def swatches(self) -> torch.Tensor:
        """How each token looks alone: (V, 3, f, f) float32 in 0..1, for previews."""
        alone = torch.arange(self._networks.config.vocabulary, device=self._device)[:, None, None]
        return torch.cat([self._networks.decoder.picture(part) for part in torch.split(alone, 256)])
