"""Autoencoders on their own, in the place of a checkpoint's for one job: directories of diffusers, files of the original layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.errors import InvalidRequest, ModelError
from gesso.manifest import ModelEntry
from gesso.model import ModelCard
from gesso_plugins.diffusion.files import digest, file_digest, read_header, read_json, weight_files
from gesso_plugins.diffusion.source import read_tensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from gesso.model import Patch

_PREFIX = "first_stage_model."


class AutoencoderFamily:
    """`AutoencoderKL`. The scale of the latents is the checkpoint's: a file does not tell it."""

    name = "autoencoder"

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card, from the settings and headers."""
        path = entry.path
        if path is None or not path.exists():
            raise ModelError(f"The autoencoder {entry.name!r} is not there: {path}.", hint="Add it again with `gesso models add`.")
        files = weight_files(path) if path.is_dir() else [path]
        _settings(path)
        for file in files:
            read_header(file)
        return ModelCard(
            name=entry.name,
            family=self.name,
            digest=digest(path, [*files, path / "config.json"]) if path.is_dir() else file_digest(path),
            title=entry.title,
            path=path,
            capabilities=frozenset({"vae"}),
            licence=entry.licence,
            info={"bytes": str(sum(file.stat().st_size for file in files))},
        )

    def load(self, card: ModelCard, on: torch.device) -> Autoencoder:
        """In float32, as the checkpoints' own."""
        from gesso_plugins.diffusion import loading

        assert card.path is not None
        full, _ = loading.places(on)
        return Autoencoder(card, loading.autoencoder(_Alone(card.path), full))


def _settings(path: Path) -> dict[str, Any]:
    if path.is_dir():
        settings = read_json(path / "config.json")
        if settings.get("_class_name") != "AutoencoderKL":
            raise ModelError(
                f"{path} is a {settings.get('_class_name')!r}; this family runs 'AutoencoderKL'.", hint="Use another autoencoder."
            )
        return settings
    from gesso_plugins.diffusion.original_settings import codec_settings

    shapes = {key.removeprefix(_PREFIX): shape for key, (_, shape) in read_header(path).items()}
    if "encoder.down.0.block.0.conv1.weight" not in shapes:
        raise ModelError(f"{path} is no autoencoder in the original layout.", hint="Get it in that layout, or as a directory of diffusers.")
    return codec_settings(shapes, 1.0)


class _Alone:
    """One network as a source of components."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def settings(self, component: str) -> dict[str, Any]:  # noqa: ARG002  (there is one)
        return _settings(self.path)

    def tensors(self, component: str, device: torch.device) -> dict[str, Tensor]:  # noqa: ARG002
        if self.path.is_dir():
            return {key: value for file in weight_files(self.path) for key, value in read_tensors(file, device).items()}
        from gesso_plugins.diffusion.original_names import codec_names
        from gesso_plugins.diffusion.original_settings import codec_levels
        from gesso_plugins.diffusion.single_file import flat_attention, renamed

        read = {key.removeprefix(_PREFIX): value for key, value in read_tensors(self.path, device).items()}
        names = codec_names(*codec_levels({key: tuple(value.shape) for key, value in read.items()}))
        return flat_attention(renamed(read, names))


class Autoencoder:
    """A loaded autoencoder; a base puts it in its own one's place."""

    def __init__(self, card: ModelCard, network: nn.Module) -> None:
        self.card = card
        self.network = network

    @property
    def nbytes(self) -> int:
        """Of all weights."""
        return sum(p.numel() * p.element_size() for p in self.network.parameters())

    @contextmanager
    def patched(self, patches: Sequence[Patch]) -> Iterator[None]:
        """It takes none of its own."""
        if patches:
            raise InvalidRequest(f"The autoencoder {self.card.name!r} takes no patches.")
        yield
