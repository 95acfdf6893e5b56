"""The model family `unclip`: a directory in Karlo's format as a model that makes pictures by way of their CLIP embedding."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gesso.errors import InvalidRequest, ModelError
from gesso.manifest import ModelEntry
from gesso.model import Conditioning, ModelCard, Patch, Seamless, overlaid
from gesso_plugins.unclip.directory import HINT, UPSAMPLER, Directory
from gesso_plugins.unclip.parts import Decoder, Prior, Upsampler, Wrapped
from gesso_plugins.unclip.reading import cascade_of, sizes_of

OPTIONS = {"prior": ("prior_steps", "prior_guidance"), "upsampler": ("upsampler_steps",)}


class UnclipFamily:
    """Describes and loads such a directory. clip: that of the CLIP that ships, for those that leave theirs out."""

    name = "unclip"

    def __init__(self, clip: Path | None = None) -> None:
        self._clip = clip

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card, from configuration files and safetensors headers; ModelError with the fix."""
        directory = Directory.of(entry.name, entry.path, self._clip)
        cascade, (latent, limits, defaults) = cascade_of(directory), sizes_of(directory)
        weights = directory.weights()
        parts = {"prior": cascade.prior, "upsampler": cascade.upsampler}
        told = {"imagine": cascade.prior is not None, "view": directory.has("image_encoder")}
        return ModelCard(
            name=entry.name,
            family=self.name,
            digest=directory.digest(weights),
            title=entry.title,
            path=directory.path,
            capabilities=frozenset({"encode_text", "cascade"} | {name for name, able in told.items() if able}),
            defaults=overlaid(entry.name, defaults, entry.defaults),
            limits=overlaid(entry.name, limits, entry.limits),
            licence=entry.licence,
            info={"bytes": str(sum(file.stat().st_size for file in weights)), "embedding": str(cascade.width)} | record_of(directory),
            latent=latent,
            options=tuple(name for part, names in OPTIONS.items() if parts[part] is not None for name in names),
            cascade=cascade,
        )

    def load(self, card: ModelCard, on: torch.device) -> UnclipModel:
        """The networks on the device: in half precision on an accelerator."""
        directory = Directory.of(card.name, card.path, self._clip)
        dtype = torch.float16 if on.type == "cuda" else torch.float32
        return UnclipModel(card, {name: directory.network(name, dtype).to(on) for name in directory.networks}, directory, on)


def record_of(directory: Directory) -> dict[str, str]:
    """What its training wrote down, where it was Gesso's."""
    return {name: str(directory.record[name]) for name in ("step", "cpu_hours") if name in directory.record}


class UnclipModel:
    """Words and pictures to embeddings, and the parts that `gesso.model.Cascade` tells of."""

    methods: Mapping[str, bool] = {"embedding": False}

    def __init__(self, card: ModelCard, networks: Mapping[str, Any], directory: Directory, on: torch.device) -> None:
        assert card.cascade is not None
        assert card.latent is not None
        cascade = card.cascade
        self.card = card
        self.parametrisation = cascade.decoder.parametrisation
        self._latent = card.latent
        self._networks = networks
        self._device = on
        self._tokenizer = directory.tokenizer()
        self._length = int(networks["text_encoder"].config.max_position_embeddings)
        self._decoder = Decoder(networks["decoder"], networks["text_proj"], cascade.decoder)
        self._prior = Prior(networks["prior"], cascade.prior) if cascade.prior is not None else None
        self._upsampler: Upsampler | None = None
        if cascade.upsampler is not None:
            first = networks[UPSAMPLER[0]]
            self._upsampler = Upsampler(first, networks.get(UPSAMPLER[1], first), cascade.upsampler)
        if "image_encoder" in networks:
            self._preparing = directory.preparing(int(networks["image_encoder"].config.image_size))

    @property
    def nbytes(self) -> int:
        """Bytes of all weights."""
        return sum(p.nbytes for network in self._networks.values() for p in network.parameters())

    @contextlib.contextmanager
    def patched(self, patches: Sequence[Patch]) -> Iterator[None]:
        """Seamless padding of decoder and upsampler; refuses any other."""
        wraps = [patch for patch in patches if isinstance(patch, Seamless)]
        for patch in patches:
            if patch not in wraps:
                raise InvalidRequest(f"The model {self.card.name!r} cannot take {type(patch).__name__}.")
        painters = [self._networks[name] for name in ("decoder", *UPSAMPLER) if name in self._networks]
        axes = Seamless(any(patch.x for patch in wraps), any(patch.y for patch in wraps))
        wrapped = Wrapped(painters, self._upsampler, axes)
        try:
            yield
        finally:
            wrapped.eject()

    def encode_text(self, texts: Sequence[str]) -> list[Conditioning]:
        """One by one, so that equal texts give equal bits whatever is beside them: states (1, L, D), the projected vector (1, P), and which
        tokens are words.
        """
        return [self._heard(text) for text in texts]

    def _heard(self, text: str) -> Conditioning:
        words = self._tokenizer([text], padding="max_length", max_length=self._length, truncation=True, return_tensors="pt")
        told = self._networks["text_encoder"](words.input_ids.to(self._device))
        mask = words.attention_mask.bool().to(self._device)
        return Conditioning(told.last_hidden_state.float(), told.text_embeds.float(), {"mask": mask})

    def encode_image(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in 0..1 -> their embeddings (B, D, 1, 1)."""
        encoder = self._networks.get("image_encoder")
        if encoder is None:
            raise ModelError(f"The model {self.card.name!r} has no image encoder to see a picture with.", hint=HINT)
        seen: Tensor = encoder(self._preparing.seen(images.float()).to(encoder.dtype)).image_embeds
        return seen.float()[:, :, None, None]

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """(C, h, w) of the decoder's picture."""
        return self._latent.shape(width, height)

    def preview_matrix(self) -> Tensor:
        """Its pictures are pictures: -1..1 to 0..1."""
        return torch.cat([torch.eye(self._latent.channels, 3) / 2, torch.full((1, 3), 0.5)])

    def denoise(self, x: Tensor, sigma: Tensor, cond: Conditioning) -> Tensor:
        """Rows of one part, told by the conditioning's extras, as `gesso.model.Cascade` says."""
        x = x.to(self._device, torch.float32)
        if "small" in cond.extras and self._upsampler is not None:
            return self._upsampler.x0(x, sigma, cond)
        if "embedding" in cond.extras:
            return self._decoder.x0(x, sigma, cond)
        if self._prior is None:
            raise ModelError(f"The model {self.card.name!r} has no prior that could imagine a picture of words.", hint=HINT)
        return self._prior.x0(x, sigma, cond)

    def apply(self, method: str, inputs: Mapping[str, Any]) -> Tensor:
        """``embedding``: what the prior sampled, as ``x`` -> (1, D)."""
        if method != "embedding" or self._prior is None:
            raise InvalidRequest(f"The model {self.card.name!r} has no method {method!r}.")
        return self._prior.embedding(inputs["x"].to(self._device)).to(inputs["x"].device)

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures in -1..1 to 0..1."""
        return (latents.float() / 2 + 0.5).clamp(0, 1)
