"""The model family `vaegan`: a file of `gesso train vaegan` as a model that draws a picture from noise and words in one forward."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from gesso.errors import InvalidRequest, ModelError
from gesso.library import hashes
from gesso.manifest import ModelEntry
from gesso.model import Conditioning, Defaults, Latent, Limits, ModelCard, Patch, Seamless, overlaid
from gesso.model.seamless import make_seamless
from gesso.training.tokenizer import encode
from gesso_plugins.vaegan.storage import FILE, Painter

CAPABILITIES = frozenset({"encode_text", "draw", "decode"})
LARGEST = 1024


class VaeganFamily:
    """Describes and loads such a file."""

    name = "vaegan"

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card; raises ModelError with the fix."""
        path = entry.path
        if path is None or not path.is_file():
            raise ModelError(f"The model {entry.name!r} has no file at {path}.", hint=FILE.hint)
        told = FILE.told(path)
        config = told.config
        return ModelCard(
            name=entry.name,
            family=self.name,
            digest=hashes.shared.of_files(path.parent, [path]),
            title=entry.title,
            path=path,
            capabilities=CAPABILITIES,
            defaults=overlaid(entry.name, Defaults(width=config.image, height=config.image), entry.defaults),
            limits=overlaid(entry.name, Limits(config.factor, LARGEST, config.factor), entry.limits),
            licence=entry.licence,
            latent=Latent(config.latent, config.factor),
            info=_info(path, told.record),
        )

    def load(self, card: ModelCard, on: torch.device) -> VaeganModel:
        """The text encoder and the generator on the device."""
        assert card.path is not None
        return VaeganModel(card, FILE.load(card.path)[0], on)


def _info(path: Path, record: dict[str, object]) -> dict[str, str]:
    told = ("step", "cpu_hours", "diversity", "collapsed")
    return {"bytes": str(path.stat().st_size)} | {str(name): str(record[name]) for name in told if name in record}


class VaeganModel:
    """Words as a vector, and a seed with that vector at each of its places as a picture."""

    def __init__(self, card: ModelCard, networks: Painter, on: torch.device) -> None:
        self.card = card
        self._tokenizer = networks.tokenizer
        self._words = networks.words.requires_grad_(False).eval().to(on)
        self._generator = networks.generator.requires_grad_(False).eval().to(on)
        self._split = [networks.config.latent, networks.config.words]
        self._device = on

    @property
    def nbytes(self) -> int:
        """Bytes of both networks; encoder and critic are for training alone."""
        return sum(p.nbytes for network in (self._words, self._generator) for p in network.parameters())

    @contextlib.contextmanager
    def patched(self, patches: Sequence[Patch]) -> Iterator[None]:
        """Seamless padding of the generator; refuses any other."""
        wraps = [patch for patch in patches if isinstance(patch, Seamless)]
        for patch in patches:
            if patch not in wraps:
                raise InvalidRequest(f"The model {self.card.name!r} cannot take {type(patch).__name__}.")
        padding = make_seamless(self._generator, any(patch.x for patch in wraps), any(patch.y for patch in wraps))
        try:
            yield
        finally:
            padding.eject()

    def encode_text(self, texts: Sequence[str]) -> list[Conditioning]:
        """One by one, so that equal texts give equal bits whatever is beside them."""
        found = (self._words(encode(self._tokenizer, [text]).to(self._device)) for text in texts)
        return [Conditioning(states, vector) for states, vector in found]

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Seeds with their words (B, C + P, h, w) to pictures (B, 3, H, W) float32 in 0..1."""
        seeds, words = torch.split(latents.float(), self._split, 1)
        picture: torch.Tensor = self._generator(seeds, words)
        return picture / 2 + 0.5
