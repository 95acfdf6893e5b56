"""Textual inversion: words that stand for learned vectors, as models of their own: the files of A1111, of diffusers, and of SDXL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gesso.errors import InvalidRequest, ModelError
from gesso.manifest import ModelEntry
from gesso.model import ModelCard
from gesso_plugins.diffusion.bases import BASES
from gesso_plugins.diffusion.files import file_digest, read_header
from gesso_plugins.diffusion.source import read_tensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from gesso.model import Patch

_MOST_VECTORS = 75
"""As many as a chunk of CLIP has room for."""


class EmbeddingFamily:
    """One ``.safetensors`` file: a tensor of vectors, or one for each text encoder."""

    name = "embedding"

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card; its base is told by the width of the vectors."""
        path = entry.path
        if path is None or not path.is_file():
            raise ModelError(f"The embedding {entry.name!r} is not there: {path} is no file.", hint="Add it again with `gesso models add`.")
        shapes = [shape for _, shape in read_header(path).values()]
        if not shapes or not all(len(shape) in (1, 2) and (len(shape) == 1 or 1 <= shape[0] <= _MOST_VECTORS) for shape in shapes):
            raise ModelError(f"{path} is no textual inversion.", hint="`gesso models info` says what a file is.")
        widths = {shape[-1] for shape in shapes}
        return ModelCard(
            name=entry.name,
            family=self.name,
            digest=file_digest(path),
            title=entry.title,
            path=path,
            capabilities=frozenset({"embedding"}),
            licence=entry.licence,
            info={"bytes": str(path.stat().st_size)},
            base="sdxl" if widths == {768, 1280} else BASES.get(max(widths), ""),
        )

    def load(self, card: ModelCard, on: torch.device) -> Vectors:
        """The vectors in float32."""
        import torch

        assert card.path is not None
        read = read_tensors(card.path, on).values()
        return Vectors(card, {value.shape[-1]: value.to(torch.float32, copy=True).view(-1, value.shape[-1]) for value in read})


class Vectors:
    """Loaded vectors by their width, which tells the encoder that they are for."""

    def __init__(self, card: ModelCard, by_width: Mapping[int, Tensor]) -> None:
        self.card = card
        self.by_width = by_width

    @property
    def nbytes(self) -> int:
        """Of all vectors."""
        return sum(value.numel() * value.element_size() for value in self.by_width.values())

    @contextmanager
    def patched(self, patches: Sequence[Patch]) -> Iterator[None]:
        """It takes none."""
        if patches:
            raise InvalidRequest(f"The embedding {self.card.name!r} takes no patches.")
        yield
