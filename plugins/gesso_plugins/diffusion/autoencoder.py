"""Autoencoders on their own, in the place of a checkpoint's for one job: directories of diffusers, files of the original layout, and the
tiny ones (TAESD) in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.errors import ModelError
from gesso.model import ModelCard
from gesso_plugins.diffusion import tiny_autoencoder
from gesso_plugins.diffusion.alone import Alone, AloneFamily, Loaded
from gesso_plugins.diffusion.files import read_header
from gesso_plugins.diffusion.source import read_tensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_PREFIX = "first_stage_model."


class AutoencoderFamily(AloneFamily):
    """`AutoencoderKL`, whose latents have the checkpoint's scale (a file does not tell it), and `AutoencoderTiny`, whose are scaled."""

    name = "autoencoder"
    title = "autoencoder"
    classes = ("AutoencoderKL", tiny_autoencoder.CLASS)
    capabilities = frozenset({"vae"})

    def files(self, path: Path) -> list[Path]:
        """A tiny one may lie in two halves."""
        if not path.is_dir() and tiny_autoencoder.is_half(read_header(path)):
            return tiny_autoencoder.halves(path)
        return super().files(path)

    def file_settings(self, path: Path) -> dict[str, Any]:
        """By the shapes of its layers."""
        from gesso_plugins.diffusion.original_settings import codec_settings

        header = {key: shape for file in self.files(path) for key, (_, shape) in read_header(file).items()}
        if tiny_autoencoder.is_half(header) or tiny_autoencoder.is_whole(header):
            halves = (tiny_autoencoder.shapes(file) for file in self.files(path))
            return tiny_autoencoder.settings({key: shape for half in halves for key, shape in half.items()})
        shapes = {key.removeprefix(_PREFIX): shape for key, shape in header.items()}
        if "encoder.down.0.block.0.conv1.weight" not in shapes:
            hint = "Get it in that layout, or as a directory of diffusers."
            raise ModelError(f"{path} is no autoencoder in the original layout.", hint=hint)
        return codec_settings(shapes, 1.0)

    def tensors(self, path: Path, device: torch.device) -> dict[str, Tensor]:
        """Both halves of a tiny one have names that begin alike, so each is renamed by itself."""
        if path.is_dir() or self.settings(path).get("_class_name") != tiny_autoencoder.CLASS:
            return super().tensors(path, device)
        parts = ((file, read_tensors(file, device)) for file in self.files(path))
        return {tiny_autoencoder.renamed(file, key): value for file, tensors in parts for key, value in tensors.items()}

    def file_tensors(self, path: Path, read: Mapping[str, Tensor]) -> dict[str, Tensor]:  # noqa: ARG002
        """From the original layout."""
        from gesso_plugins.diffusion.original_names import codec_names
        from gesso_plugins.diffusion.original_settings import codec_levels
        from gesso_plugins.diffusion.single_file import flat_attention, renamed

        bare = {key.removeprefix(_PREFIX): value for key, value in read.items()}
        names = codec_names(*codec_levels({key: tuple(value.shape) for key, value in bare.items()}))
        return flat_attention(renamed(bare, names))

    def load(self, card: ModelCard, on: torch.device) -> Loaded:
        """In float32, as the checkpoints' own; a base puts it in its own one's place."""
        from gesso_plugins.diffusion import loading

        assert card.path is not None
        full, _ = loading.places(on)
        tiny = self.settings(card.path).get("_class_name") == tiny_autoencoder.CLASS
        build = loading.tiny_autoencoder if tiny else loading.autoencoder
        return Loaded(card, build(Alone(self, card.path), full), self.title)
